// What the pages need of the server; how it is asked (cookies, tokens, base URLs) is the business of whoever gives it.

import type { Problem, RunQuery, RunsUpdate } from '../api.js';
import { Refused } from '../source/refused.js';
import type { Source } from '../source/source.js';

export { Refused };

export type Query = Record<string, string | number | boolean | undefined>;

/** A file, or the beginning of one. */
export interface Part {
  data: Blob;
  /** bytes of the whole file */
  total: number;
}

/** The server of runs, below `<base_url>jupyter-mlrun/`.  Every promise is rejected with a `Refused`. */
export interface Server {
  ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, query?: Query, body?: unknown): Promise<T>;
  /** A file's bytes, at most *most* of them from its beginning. */
  part(path: string, query: Query, most?: number): Promise<Part>;
  /** The address of a page or file, for links. */
  address(path: string, query?: Query): string;
  /** One run on the live channel; *end* leaves it.  *problem* hears why it cannot be followed. */
  follow(run: string, problem?: (problem: Problem, final: boolean) => void): { source: Source; end(): void };
  /** A list of runs on the live channel, until the returned function is called. */
  list(query: RunQuery, heard: (update: RunsUpdate) => void): () => void;
}

/** What went wrong as a `Problem`, whatever was thrown. */
export function problemOf(error: unknown): Problem & { status: number } {
  if (error instanceof Refused) {
    return { ...error.problem, status: error.status };
  }
  return { kind: 'Internal', message: error instanceof Error ? error.message : String(error), hint: null, status: 0 };
}

export const runPath = (run: string, rest = ''): string => `api/runs/${encodeURIComponent(run)}${rest && `/${rest}`}`;
