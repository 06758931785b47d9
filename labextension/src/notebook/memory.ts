// What a notebook remembers of the form: kept in its metadata, which anybody may have written.  Pure.

import type { Values } from './line.js';

/** What is worth remembering: a run's name and its tags are its own. */
const KEPT = ['target', 'env', 'inputs', 'experiment', 'gpus', 'time'] as const;
const LONGEST = 500;
const MOST = 20;

/** The options in a notebook's metadata; whatever is not as we write it is left out. */
export function remembered(metadata: unknown): Values {
  const submit = (metadata as { submit?: unknown } | null | undefined)?.submit;
  const found: Values = {};
  if (typeof submit === 'object' && submit !== null) {
    for (const name of KEPT) {
      const values = (submit as Record<string, unknown>)[name];
      if (Array.isArray(values)) {
        const texts = values.filter((value): value is string => typeof value === 'string' && value.length <= LONGEST && !/[\n\r]/.test(value));
        if (texts.length) {
          found[name] = texts.slice(0, MOST);
        }
      }
    }
  }
  return found;
}

/** The part of the options that is remembered. */
export function toRemember(values: Values): Values {
  return Object.fromEntries(KEPT.flatMap(name => (values[name]?.length ? [[name, values[name]]] : [])));
}
