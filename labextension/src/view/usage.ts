// What a view knows of the run's machine and of its notebook's cells: frames go in.  No DOM.

import { MOST_SAMPLES, type Cells, type CellState, type System } from '../contract.js';

/** One figure over time. */
export interface Figure {
  name: string;
  unit: string;
  /** the largest value that there can be */
  most: number | null;
  times: number[];
  values: number[];
}

/** The machine: facts, and figures by name. */
export class Machine {
  cores = 0;
  memory = 0;
  gpus: [string, number][] = [];
  readonly figures = new Map<string, Figure>();
  version = 0;

  clear(): void {
    this.figures.clear();
    this.version++;
  }

  take(system: System, numbers: Float64Array): void {
    [this.cores, this.memory, this.gpus] = [system.cores, system.memory, system.gpus];
    this.version++;
    for (const { name, unit, most, mode, offset, points } of system.usage) {
      const known = mode === 'append' ? this.figures.get(name) : undefined;
      const figure = known ?? { name, unit, most, times: [], values: [] };
      figure.most = most;
      for (let i = 0, at = offset; i < points && at + 1 < numbers.length; i++, at += 2) {
        figure.times.push(numbers[at] as number);
        figure.values.push(numbers[at + 1] as number);
      }
      // the other end sends all anew before that; a view that nobody answers stays small, too
      figure.times.splice(0, figure.times.length - 2 * MOST_SAMPLES);
      figure.values.splice(0, figure.values.length - 2 * MOST_SAMPLES);
      this.figures.set(name, figure);
    }
  }
}

/** One cell that began. */
export interface Cell {
  state: CellState;
  began: number;
  seconds: number | null;
}

/** How far a notebook run is; `total` is 0 for other runs. */
export class Progress {
  total = 0;
  done = 0;
  current: number | null = null;
  failed: number | null = null;
  said = '';
  error: string | null = null;
  readonly cells = new Map<number, Cell>();
  version = 0;

  clear(): void {
    this.total = 0;
    this.cells.clear();
    this.version++;
  }

  take(cells: Cells): void {
    const { total, done, current, failed, said, error } = cells;
    Object.assign(this, { total, done, current, failed, said, error });
    cells.changed.forEach(([number, state, began, seconds]) => this.cells.set(number, { state, began, seconds }));
    this.version++;
  }

  /** What became of a cell; text cells, and those beyond the ones that are named, by their place. */
  state(number: number): CellState | 'ahead' | 'passed' {
    return this.cells.get(number)?.state ?? (number <= this.done ? 'passed' : 'ahead');
  }
}
