// What can stand at the cursor in a line of `%%submit`, `%submit` or `%upload_data`.  Pure: the choices were asked for.

import type { FormOption, SubmitForm } from '../api.js';
import { optionOf } from './line.js';
import { quoted, splitLine, type Word } from './words.js';

export interface Choice {
  label: string;
  insert: string;
  kind: string;
  about: string;
}

/** Choices, and the part of the text that they replace. */
export interface Offer {
  start: number;
  end: number;
  choices: Choice[];
}

const LINE = /^(\s*(?:\w+(?:\s*,\s*\w+)*\s*=\s*)?%{1,2}(submit|upload_data)(?=\s))/;

/** Options of `%upload_data`. */
const UPLOAD: FormOption[] = [
  { name: 'datastore', flags: ['--datastore'], metavar: 'D', help: 'default: the workspace’s default datastore', repeat: false },
  { name: 'dataset', flags: ['--name'], metavar: 'DATASET', help: 'the data set’s name', repeat: false },
  { name: 'overwrite', flags: ['--overwrite'], metavar: null, help: 'replace files that are there and differ', repeat: false },
  { name: 'output', flags: ['-o', '--output'], metavar: 'VAR', help: 'variable for the data set version', repeat: false }
];

/** The line that the cursor is in, when it is one of ours. */
export function magicAt(text: string, offset: number): { name: string; from: number; text: string } | null {
  const begin = text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', offset);
  const line = text.slice(begin, end < 0 ? text.length : end);
  const found = LINE.exec(line);
  if (!found || offset < begin + found[0].length + 1) {
    return null;
  }
  // a cell magic counts in the first line alone
  if (line.trimStart().startsWith('%%') && text.slice(0, begin).trim()) {
    return null;
  }
  const from = begin + found[0].length;
  return { name: found[2] as string, from, text: line.slice(found[0].length) };
}

/** What can stand at *offset*; null where it is none of our business. */
export function offerAt(text: string, offset: number, form: SubmitForm): Offer | null {
  const magic = magicAt(text, offset);
  if (!magic) {
    return null;
  }
  const options = magic.name === 'upload_data' ? UPLOAD : form.options;
  const before = splitLine(magic.text.slice(0, offset - magic.from), magic.from);
  if (before.some(word => word.raw === '--' && word.to < offset)) {
    return null; // what follows is the script's own
  }
  const current = before.at(-1)?.to === offset ? (before.at(-1) as Word) : null;
  const done = current ? before.slice(0, -1) : before;
  const start = current?.from ?? offset;
  // what is behind the cursor in the same word is replaced, too
  const end = offset + (/^[^\s]*/.exec(text.slice(offset))?.[0].length ?? 0);
  const typed = current?.text ?? '';
  const wanting = waiting(done, options);
  if (wanting) {
    return { start, end, choices: valuesOf(wanting, typed, form, '') };
  }
  const inWord = current ? optionOf(typed, options) : null;
  if (inWord && inWord.value !== null && inWord.option.metavar !== null) {
    return { start, end, choices: valuesOf(inWord.option, inWord.value, form, typed.slice(0, typed.length - inWord.value.length)) };
  }
  if (typed && !typed.startsWith('-')) {
    return null; // a script's name, or a folder: the kernel completes paths
  }
  return { start, end, choices: flagsOf(options, done, typed) };
}

/** The option whose value comes next. */
function waiting(done: readonly Word[], options: readonly FormOption[]): FormOption | null {
  let option: FormOption | null = null;
  for (const word of done) {
    if (option) {
      option = null;
      continue;
    }
    const found = optionOf(word.text, options);
    option = found && found.value === null && found.option.metavar !== null ? found.option : null;
  }
  return option;
}

function flagsOf(options: readonly FormOption[], done: readonly Word[], typed: string): Choice[] {
  const used = new Set(done.map(word => optionOf(word.text, options)?.option).filter(one => one && !one.repeat));
  return options.filter(option => !used.has(option)).flatMap(option => {
    const flag = option.flags.find(one => one.startsWith('--')) as string;
    return flag.startsWith(typed) || option.flags.includes(typed)
      ? [{ label: flag, insert: flag, kind: 'option', about: option.metavar ? `${option.metavar}: ${option.help}` : option.help }]
      : [];
  });
}

function valuesOf(option: FormOption, typed: string, form: SubmitForm, lead: string): Choice[] {
  const make = (label: string, kind: string, about: string): Choice => ({
    label: lead + label,
    insert: quoted(lead + label),
    kind,
    about
  });
  const fits = (choices: Choice[]): Choice[] =>
    choices.filter(({ label }) => label.toLowerCase().startsWith((lead + typed).toLowerCase()));
  switch (option.name) {
    case 'target':
      return fits(form.computes.map(({ name, about }) => make(name, 'compute', about)));
    case 'env':
      return fits(form.environments.map(({ name, about }) => make(name, 'environment', about)));
    case 'experiment':
      return fits(form.experiments.map(name => make(name, 'experiment', '')));
    case 'dataset':
      return fits(form.datasets.map(({ name, about }) => make(name, 'dataset', about)));
    case 'inputs': {
      const equals = typed.indexOf('=');
      const into = equals < 0 ? null : typed.slice(0, equals + 1);
      return fits(
        form.datasets.map(({ name, about }) => make(into === null ? `${identifier(name)}=${name}` : into + name, 'dataset', about))
      );
    }
    case 'parameters':
      return fits(form.parameters.map(([name, value]) => make(`${name}=`, 'parameter', value)));
    case 'gpus':
      return fits(['auto', 'all', '0', '1'].map(name => make(name, 'number', '')));
    default:
      return [];
  }
}

/** A name that a variable can have. */
function identifier(name: string): string {
  const plain = name.replace(/\W+/g, '_').replace(/^(?=\d)/, '_');
  return plain || 'data';
}
