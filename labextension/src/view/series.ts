// One metric's points as the view keeps them: five columns of numbers, never more than twice MOST_POINTS.

import { MOST_ODD, MOST_POINTS, type Form, type Series } from '../contract.js';

export type Column = 'step' | 'time' | 'min' | 'max' | 'last';
const COLUMNS: readonly Column[] = ['step', 'time', 'min', 'max', 'last'];
const FIRST = 256;

/** Columns that grow by doubling and are cut in half, by joining neighbours, when they would grow for ever. */
export class Points {
  length = 0;
  private columns: Record<Column, Float64Array> = room(FIRST);

  /** The used part of a column: valid until the next change. */
  column(name: Column): Float64Array {
    return this.columns[name].subarray(0, this.length);
  }

  /** float64s kept, for tests of memory. */
  get capacity(): number {
    return this.columns.step.length * COLUMNS.length;
  }

  clear(): void {
    this.length = 0;
    if (this.columns.step.length > MOST_POINTS) {
      this.columns = room(FIRST);
    }
  }

  /** Add rows of *width* numbers: step, time, value; or step, time, min, max, last. */
  add(numbers: Float64Array, offset: number, count: number, width: number): void {
    for (let i = 0, at = offset; i < count; i++, at += width) {
      if (this.length >= 2 * MOST_POINTS) {
        this.halve();
      }
      if (this.length >= this.columns.step.length) {
        this.grow();
      }
      const value = width >= 5;
      this.put('step', numbers[at]);
      this.put('time', numbers[at + 1]);
      this.put('min', numbers[at + 2]);
      this.put('max', numbers[at + (value ? 3 : 2)]);
      this.put('last', numbers[at + (value ? 4 : 2)]);
      this.length++;
    }
  }

  private put(name: Column, value: number | undefined): void {
    this.columns[name][this.length] = value ?? Number.NaN;
  }

  private grow(): void {
    const larger = room(this.columns.step.length * 2);
    for (const name of COLUMNS) {
      larger[name].set(this.columns[name]);
    }
    this.columns = larger;
  }

  // when nobody answers a hello: half the rows, no extreme lost
  private halve(): void {
    const { step, time, min, max, last } = this.columns;
    const half = Math.floor(this.length / 2);
    for (let i = 0; i < half; i++) {
      const [a, b] = [2 * i, 2 * i + 1];
      step[i] = step[b] as number;
      time[i] = time[b] as number;
      last[i] = last[b] as number;
      min[i] = least(min[a] as number, min[b] as number);
      max[i] = -least(-(max[a] as number), -(max[b] as number));
    }
    this.length = half;
  }
}

/** The smaller one; a number, where the other is none. */
function least(a: number, b: number): number {
  return Number.isNaN(a) || b < a ? b : a;
}

function room(size: number): Record<Column, Float64Array> {
  const column = (): Float64Array => new Float64Array(size);
  return { step: column(), time: column(), min: column(), max: column(), last: column() };
}

/** The line of one column of a table. */
export interface Line {
  column: number;
  /** numbers of rows, from 0 */
  x: number[];
  last: number[];
  low: number;
  high: number;
}

/** Rows, a table, an image …, with the lines of its columns. */
export interface Shown extends Form {
  curves: Line[];
}

function shown(form: Form, numbers: Float64Array): Shown {
  const curves = form.lines
    .filter(([, offset, points]) => offset >= 0 && offset + 4 * points <= numbers.length)
    .map(([column, offset, points]) => {
      const pick = (at: number): number[] => Array.from({ length: points }, (_, i) => numbers[offset + 4 * i + at] as number);
      const finite = [...pick(1), ...pick(2)].filter(Number.isFinite);
      return { column, x: pick(0), last: pick(3), low: Math.min(...finite), high: Math.max(...finite) };
    });
  return { ...form, curves };
}

/** A metric: what the frames said of it, and its points. */
export class Metric {
  readonly points = new Points();
  kind: Series['kind'] = 'number';
  /** points in all, at the other end */
  count = 0;
  nonfinite = 0;
  /** step, time and word of the newest values that are no finite numbers */
  odd: [number, number, string][] = [];
  /** rows, a table, an image …: where it is no series of numbers */
  form: Shown | null = null;
  /** the last value in words */
  last = '';
  /** rises with every change: what was drawn is old when it differs */
  version = 0;

  constructor(readonly name: string) {}

  /** Take a series of a frame; true when there are so many points that buckets should be asked for. */
  take(series: Series, numbers: Float64Array): boolean {
    this.kind = series.kind;
    this.count = series.count;
    this.nonfinite = series.nonfinite;
    this.last = series.last;
    this.version++;
    if (series.mode === 'reset') {
      this.points.clear();
      this.odd = [];
    }
    if (series.form) {
      this.form = shown(series.form, numbers);
    }
    this.odd = [...this.odd, ...series.odd].slice(-MOST_ODD);
    const width = series.columns.length;
    const fits = width >= 3 && series.offset >= 0 && series.offset + series.points * width <= numbers.length;
    if (series.points > 0 && fits) {
      this.points.add(numbers, series.offset, series.points, width);
    }
    return this.points.length > MOST_POINTS;
  }
}
