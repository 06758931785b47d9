// What came of a command over several runs, in words.  Pure.

import type { OneDone, Problem } from '../api.js';

/** Reasons that are told, and names for each. */
const REASONS = 3;
const NAMES = 3;

/** Those that failed, and why, one sentence for each reason; empty where none did. */
export function failures(done: readonly OneDone[], nameOf: (id: string) => string): string {
  const failed = done.filter((one): one is OneDone & { error: Problem } => one.error !== null);
  const kinds = new Map<string, { error: Problem; names: string[] }>();
  for (const { id, error } of failed) {
    // what differs between two runs in the same case is their name alone
    const key = `${error.kind} ${error.hint ?? ''} ${error.message.replaceAll(id, '')}`;
    const kind = kinds.get(key) ?? { error: { ...error, message: error.message.replaceAll(id, nameOf(id)) }, names: [] };
    kinds.set(key, kind);
    kind.names.push(nameOf(id));
  }
  const sentences = [...kinds.values()].slice(0, REASONS).map(({ error, names }) => {
    const cure = error.hint ? ` (${error.hint})` : '';
    const more = names.length > NAMES ? ` … (${names.length})` : '';
    return `${names.slice(0, NAMES).join(', ')}${more}: ${error.message}${cure}`;
  });
  if (kinds.size > REASONS) {
    sentences.push('…');
  }
  return sentences.join(' · ');
}
