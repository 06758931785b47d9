// What the filter box says, as the server takes it; and what the chips and the menu write into it.  Pure.

import type { RunQuery, RunRow } from '../api.js';

export const CHIPS = ['active', 'completed', 'failed', 'canceled'] as const;
export type Chip = (typeof CHIPS)[number];

/** The statuses after which nothing follows. */
const ENDS = new Set(['completed', 'failed', 'canceled']);

/** A word of the box: its name before the colon, where that means something. */
interface Word {
  name: '' | 'tag' | 'compute';
  value: string;
}

/** The words of a text; `"…"` keeps spaces together, an open quote ends with the text. */
export function wordsOf(text: string): Word[] {
  const found: Word[] = [];
  for (const [word] of text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) {
    const plain = word.replaceAll('"', '');
    const named = /^(tag|compute):(.*)$/s.exec(plain);
    // a name with nothing behind it is one that is being typed
    if (named ? named[2] : plain) {
      found.push(named ? { name: named[1] as 'tag', value: named[2] as string } : { name: '', value: plain });
    }
  }
  return found;
}

/** The question that a text and chips ask. */
export function queryOf(text: string, chips: Iterable<Chip>): RunQuery {
  const words = wordsOf(text);
  const of = (name: Word['name']): string[] => words.filter(word => word.name === name).map(word => word.value);
  const query: RunQuery = {};
  const [plain, tags, compute, status] = [of('').join(' '), of('tag').join(','), of('compute').at(-1), [...chips].join(',')];
  if (plain) {
    query.text = plain;
  }
  if (tags) {
    query.tag = tags;
  }
  if (compute) {
    query.compute = compute;
  }
  if (status) {
    query.status = status;
  }
  return query;
}

/** The text with `name:value` in it, once; a compute takes the place of another. */
export function withWord(text: string, name: 'tag' | 'compute', value: string): string {
  const word = `${name}:${/[\s"]/.test(value) ? `"${value.replaceAll('"', '')}"` : value}`;
  const others = [...text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)].map(([one]) => one).filter(one => {
    return one !== word && !(name === 'compute' && one.startsWith('compute:'));
  });
  return [...others, word].join(' ');
}

/** How many runs each chip stands for. */
export function chipCounts(counts: Record<string, number>): Record<Chip, number> {
  const found: Record<Chip, number> = { active: 0, completed: 0, failed: 0, canceled: 0 };
  for (const [status, n] of Object.entries(counts)) {
    const name = status.toLowerCase();
    found[ENDS.has(name) ? (name as Chip) : 'active'] += n;
  }
  return found;
}

/** Tags that runs have, the most frequent first: what the menu offers. */
export function tagsOf(rows: Iterable<RunRow>, most = 20): string[] {
  const found = new Map<string, number>();
  for (const row of rows) {
    for (const [name, value] of Object.entries(row.tags)) {
      // a comma parts tags in a question
      if (!/[,"]/.test(name + value)) {
        const tag = value ? `${name}=${value}` : name;
        found.set(tag, (found.get(tag) ?? 0) + 1);
      }
    }
  }
  return [...found].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, most).map(([tag]) => tag);
}
