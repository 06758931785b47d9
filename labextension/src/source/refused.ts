// An answer of the server that is no success.

import type { Problem } from '../api.js';

/** `status` is 0 where the server could not be reached. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem
  ) {
    super(problem.message);
  }
}
