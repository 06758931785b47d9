// Which runs ended since the last look at those that go on.  Pure.

import type { RunRow, RunsUpdate } from '../api.js';

/** Follows the list of active runs: whoever leaves it has ended, or was deleted. */
export class Ended {
  /** those that go on, as far as they are known */
  readonly active = new Map<string, RunRow>();
  total = 0;
  private order: string[] = [];
  private readonly told = new Set<string>();
  /** what ended later is news, by the server's clock */
  private since: number | null = null;

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
    return this.news(gone);
  }

  /** Of the newest runs, those that ended too quickly to be seen among the active ones; each is named once. */
  quick(update: Pick<RunsUpdate, 'rows'>): string[] {
    const { since } = this;
    if (since === null) {
      this.since = Math.max(0, ...update.rows.map(row => row.ended ?? row.created));
      return [];
    }
    const fresh = update.rows.filter(row => row.over && row.ended !== null && row.ended > since && !this.active.has(row.id));
    return this.news(fresh.map(row => row.id));
  }

  private news(ids: string[]): string[] {
    const found = ids.filter(id => !this.told.has(id));
    found.forEach(id => this.told.add(id));
    return found;
  }
}
