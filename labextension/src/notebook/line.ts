// The line `%%submit …`: read, and written anew with other options; what is not known here stays as it was.  Pure.

import type { FormOption } from '../api.js';
import { quoted, splitLine } from './words.js';

/** Values by an option's name; a switch has one value, empty, when it is there. */
export type Values = Record<string, string[]>;

interface Item {
  /** null: no option that is known */
  name: string | null;
  value: string;
  raw: string;
}

/** What a line says. */
export interface Submit {
  values: Values;
  items: Item[];
  /** from `--` on, as it stands there */
  rest: string;
}

const MAGIC = /^[ \t]*%%submit(?=\s|$)/;
const ANY_MAGIC = /^\s*%%(\w*)/;

/** The cell's magic: its name, or null. */
export function magicOf(source: string): string | null {
  return ANY_MAGIC.exec(source)?.[1] ?? null;
}

/** What the first line of a cell says, where it is `%%submit`. */
export function lineOf(source: string): string | null {
  const first = source.replace(/^(?:[ \t]*\n)+/, '').split('\n', 1)[0] as string;
  const found = MAGIC.exec(first);
  return found ? first.slice(found[0].length).trim() : null;
}

/** Read the options of a line. */
export function readLine(line: string, options: readonly FormOption[]): Submit {
  const words = splitLine(line);
  const cut = words.findIndex(word => word.raw === '--');
  const before = cut < 0 ? words : words.slice(0, cut);
  const items: Item[] = [];
  for (let i = 0; i < before.length; i++) {
    const word = before[i] as (typeof before)[number];
    const found = optionOf(word.text, options);
    if (!found) {
      items.push({ name: null, value: word.text, raw: word.raw });
    } else if (found.value !== null || found.option.metavar === null) {
      items.push({ name: found.option.name, value: found.value ?? '', raw: word.raw });
    } else {
      const next = before[++i];
      items.push({
        name: found.option.name,
        value: next?.text ?? '',
        raw: next ? `${word.raw} ${next.raw}` : word.raw
      });
    }
  }
  const values: Values = {};
  for (const { name, value } of items) {
    if (name !== null) {
      (values[name] ??= []).push(value);
    }
  }
  // of an option that is there once, the last counts
  for (const option of options) {
    const all = values[option.name];
    if (all && !option.repeat) {
      values[option.name] = all.slice(-1);
    }
  }
  return { values, items, rest: cut < 0 ? '' : line.slice((words[cut] as { from: number }).from).trimEnd() };
}

/** The option that a word names, and the value in the same word: `--env=x`, `-tx`. */
export function optionOf(
  word: string,
  options: readonly FormOption[]
): { option: FormOption; value: string | null } | null {
  const [flag, value] = /^--[^=]+=/.test(word)
    ? [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]
    : [word, null];
  const exact = options.find(option => option.flags.includes(flag));
  if (exact) {
    return { option: exact, value };
  }
  const short = /^-\w./s.test(word) ? options.find(one => one.metavar !== null && one.flags.includes(word.slice(0, 2))) : null;
  return short ? { option: short, value: word.slice(2) } : null;
}

/** The line with other values; an option that is not named stays as it is written, an empty list takes it away. */
export function writeLine(line: string, changes: Values, options: readonly FormOption[]): string {
  const { values, items, rest } = readLine(line, options);
  const parts: string[] = [];
  const written = new Set<string>();
  const write = (name: string): void => {
    const option = options.find(one => one.name === name);
    if (!option || written.has(name)) {
      return;
    }
    written.add(name);
    const flag = (option.flags.find(one => !one.startsWith('--')) ?? option.flags[0]) as string;
    for (const value of changes[name] ?? []) {
      // a value that looks like an option would be taken for one
      const long = option.flags.find(one => one.startsWith('--')) ?? flag;
      parts.push(
        option.metavar === null ? flag : value.startsWith('-') ? quoted(`${long}=${value}`) : `${flag} ${quoted(value)}`
      );
    }
  };
  for (const { name, raw } of items) {
    if (name === null || !Object.hasOwn(changes, name) || same(changes[name], values[name])) {
      parts.push(raw);
    } else {
      write(name);
    }
  }
  for (const name of Object.keys(changes)) {
    if (!values[name]) {
      write(name);
    }
  }
  return [...parts, rest].filter(Boolean).join(' ');
}

function same(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((one, i) => one === b[i]);
}

/** The cell with this line as its `%%submit`; a cell with another magic stays as it is. */
export function withLine(source: string, line: string): string {
  const first = `%%submit${line ? ` ${line}` : ''}`;
  const magic = magicOf(source);
  if (magic === null) {
    return `${first}\n${source}`;
  }
  if (magic !== 'submit') {
    return source;
  }
  const body = source.replace(/^\s*(?=%%)/, '');
  const end = body.indexOf('\n');
  return end < 0 ? `${first}\n` : `${first}${body.slice(end)}`;
}
