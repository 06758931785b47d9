// Which runs ended since the last look at those that go on.  Pure.

import type { RunRow, RunsUpdate } from '../api.js';

/** Follows the list of active runs: whoever leaves it has ended, or was deleted. */
export class Ended {
  /** those that go on, as far as they are known */
  readonly active = new Map<string, RunRow>();
  total = 0;
  private order: string[] = [];

  /** The ids of runs that are no longer active; each is named once. */
  take(update: Pick<RunsUpdate, 'rows' | 'order' | 'total'>): string[] {
    for (const row of update.rows) {
      this.active.set(row.id, row);
    }
    this.order = update.order ?? this.order;
    this.total = update.total;
    if (this.total > this.order.length) {
      return []; // one that is not in the window may be below it
    }
    const there = new Set(this.order);
    const gone = [...this.active.keys()].filter(id => !there.has(id));
    for (const id of gone) {
      this.active.delete(id);
    }
    return gone;
  }
}
