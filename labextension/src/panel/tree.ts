// The list as lines under one another: experiments and their runs, of which only some are known.  Pure.

import type { ExperimentCount, RunRow } from '../api.js';

/** Pixels that a line takes. */
export const HEAD = 28;
export const LINE = 44;

/** One experiment; or, where runs are not grouped, all runs under no head. */
export interface Group {
  name: string | null;
  runs: number;
  active: number;
  open: boolean;
}

/** What stands in a line; `run` null: it is there, and not known yet. */
export type Line =
  | { kind: 'group'; group: Group; line: number }
  | { kind: 'run'; group: Group; index: number; run: RunRow | null; line: number };

/** Some of a group's runs, by their places. */
export interface Part {
  group: string | null;
  offset: number;
  limit: number;
}

/** The runs of one window of a list that is followed. */
export class Rows {
  ids: string[] = [];
  readonly rows = new Map<string, RunRow>();

  /** Take an update; whether anything is there to be drawn anew. */
  take(update: { full: boolean; order: string[] | null; rows: RunRow[]; gone: string[] }): void {
    if (update.full) {
      this.rows.clear();
    }
    for (const id of update.gone) {
      this.rows.delete(id);
    }
    for (const row of update.rows) {
      this.rows.set(row.id, row);
    }
    if (update.order) {
      this.ids = update.order;
    }
  }

  at(index: number): RunRow | null {
    const id = this.ids[index];
    return id === undefined ? null : (this.rows.get(id) ?? null);
  }
}

const EAGER = 20; // with more experiments than this, those in which nothing moves are closed at first

export class Tree {
  groups: Group[] = [];
  /** which group a head stands for: as its reader left it */
  private readonly chosen = new Map<string, boolean>();
  private firsts: number[] = [0];
  private tops: number[] = [0];
  /** runs of a group that the first window has, in their order */
  private first = new Map<string | null, RunRow[]>();
  private readonly windows = new Map<string | null, { offset: number; rows: Rows }>();
  private grouped = true;

  /** Lines in all. */
  get length(): number {
    return this.firsts.at(-1) ?? 0;
  }

  /** Pixels in all. */
  get height(): number {
    return this.tops.at(-1) ?? 0;
  }

  /** What there is: experiments and their counts, and the first window of all runs. */
  set(experiments: ExperimentCount[], total: number, all: Rows, grouped: boolean): void {
    this.grouped = grouped;
    this.first = new Map();
    for (const id of all.ids) {
      const row = all.rows.get(id);
      if (row) {
        const key = grouped ? row.experiment : null;
        const have = this.first.get(key);
        have ? have.push(row) : this.first.set(key, [row]);
      }
    }
    // the experiments of the first runs stand first: with the newest runs, those in which something goes on
    const places = new Map([...this.first.keys()].map((name, i) => [name, i]));
    const place = (name: string): number => places.get(name) ?? places.size;
    this.groups = grouped
      ? [...experiments].sort((a, b) => place(a.name) - place(b.name)).map(({ name, runs, active }) => ({
          name,
          runs,
          active,
          open: this.chosen.get(name) ?? (experiments.length <= EAGER || active > 0)
        }))
      : [{ name: null, runs: total, active: 0, open: true }];
    for (const key of [...this.windows.keys()]) {
      if (!this.groups.some(group => group.name === key && group.open)) {
        this.windows.delete(key);
      }
    }
    this.measure();
  }

  /** Open or close an experiment. */
  open(name: string, open: boolean): void {
    this.chosen.set(name, open);
    const group = this.groups.find(one => one.name === name);
    if (group) {
      group.open = open;
      this.measure();
    }
  }

  /** A window of one group came. */
  put(key: string | null, offset: number, rows: Rows): void {
    this.windows.set(key, { offset, rows });
  }

  /** Forget the windows: another question is asked. */
  clear(): void {
    this.windows.clear();
    this.first.clear();
  }

  private measure(): void {
    this.firsts = [0];
    this.tops = [0];
    const head = this.grouped ? 1 : 0;
    for (const group of this.groups) {
      const shown = group.open ? group.runs : 0;
      this.firsts.push((this.firsts.at(-1) as number) + head + shown);
      this.tops.push((this.tops.at(-1) as number) + head * HEAD + shown * LINE);
    }
  }

  /** The line with this number. */
  at(line: number): Line | null {
    if (line < 0 || line >= this.length) {
      return null;
    }
    const g = last(this.firsts, line);
    const group = this.groups[g] as Group;
    const inside = line - (this.firsts[g] as number) - (this.grouped ? 1 : 0);
    return inside < 0
      ? { kind: 'group', group, line }
      : { kind: 'run', group, index: inside, run: this.run(group.name, inside), line };
  }

  /** Where a line begins, in pixels. */
  top(line: number): number {
    const g = last(this.firsts, Math.min(line, this.length - 1));
    const inside = line - (this.firsts[g] as number);
    const head = this.grouped ? 1 : 0;
    return (this.tops[g] as number) + (inside && head ? HEAD : 0) + Math.max(0, inside - head) * LINE;
  }

  /** The line at a height. */
  find(y: number): number {
    if (!this.length) {
      return 0;
    }
    const g = last(this.tops, Math.min(Math.max(0, y), this.height - 1));
    const inside = Math.max(0, y - (this.tops[g] as number));
    const head = this.grouped ? HEAD : 0;
    const line = (this.firsts[g] as number) + (inside < head ? 0 : (head ? 1 : 0) + Math.floor((inside - head) / LINE));
    return Math.min(line, (this.firsts[g + 1] as number) - 1, this.length - 1);
  }

  /** The line of a group's head, or of a run that is known; -1 where it is not. */
  lineOf(key: string): number {
    for (const [g, group] of this.groups.entries()) {
      const start = this.firsts[g] as number;
      if (this.grouped && key === headKey(group.name)) {
        return start;
      }
      if (group.open) {
        const index = this.indexOf(group.name, key);
        if (index >= 0 && index < group.runs) {
          return start + (this.grouped ? 1 : 0) + index;
        }
      }
    }
    return -1;
  }

  private indexOf(key: string | null, id: string): number {
    const inFirst = (this.first.get(key) ?? []).findIndex(row => row.id === id);
    if (inFirst >= 0) {
      return inFirst;
    }
    const window = this.windows.get(key);
    const inWindow = window ? window.rows.ids.indexOf(id) : -1;
    return inWindow < 0 ? -1 : inWindow + (window as { offset: number }).offset;
  }

  private run(key: string | null, index: number): RunRow | null {
    const window = this.windows.get(key);
    return (window && window.rows.at(index - window.offset)) ?? this.first.get(key)?.[index] ?? null;
  }

  /** Every run that is known. */
  known(): Map<string, RunRow> {
    const found = new Map<string, RunRow>();
    for (const rows of this.first.values()) {
      for (const row of rows) {
        found.set(row.id, row);
      }
    }
    for (const { rows } of this.windows.values()) {
      for (const [id, row] of rows.rows) {
        found.set(id, row);
      }
    }
    return found;
  }

  /** Which windows must be followed for these lines to be known: none where the first window has them all. */
  missing(from: number, to: number, step = 50): Part[] {
    const parts: Part[] = [];
    const head = this.grouped ? 1 : 0;
    for (let g = this.length ? last(this.firsts, Math.max(0, from)) : 0; g < this.groups.length; g++) {
      const group = this.groups[g] as Group;
      const start = (this.firsts[g] as number) + head;
      if (start > to) {
        break;
      }
      const [a, b] = [Math.max(0, from - start), Math.min(group.runs, to + 1 - start)];
      if (group.open && b > a && b > (this.first.get(group.name)?.length ?? 0)) {
        const offset = Math.floor(Math.max(0, a - step / 2) / step) * step;
        const limit = Math.min(500, Math.ceil((b + step / 2 - offset) / step) * step);
        parts.push({ group: group.name, offset, limit });
      }
    }
    return parts;
  }
}

/** How a group's head is called among runs' ids: no id has such a name. */
export const headKey = (name: string | null): string => `experiment ${name ?? ''}`;

/** The last of rising numbers that is not above *value*, leaving out the very last; several that are equal: the last. */
function last(numbers: readonly number[], value: number): number {
  let [low, high] = [0, numbers.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((numbers[middle] as number) <= value) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return Math.max(0, low);
}
