// The head of a run's page before the live channel has said anything.  Pure.

import type { RunFull } from '../api.js';
import type { Run } from '../contract.js';

/** What the head shows, from the answer of `api/runs/RUN`. */
export function runOf(full: RunFull): Run {
  const { id, name, experiment, target, by, status, shown, reason, waiting, created, started, ended, over, can_stop, warnings, logs } = full;
  return {
    id, name, experiment, target, by, status, shown, reason, waiting, created, started, ended, over, can_stop, warnings, logs,
    parameters: Object.entries(full.parameters),
    tags: Object.entries(full.tags),
    inputs: full.inputs.map(one => one.what),
    links: [],
    queue: null,
    start: full.start || null
  } as Run;
}
