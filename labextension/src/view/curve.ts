// From a metric's columns to what is drawn: pure functions, no page.

import type { Axis } from '../contract.js';
import { smooth } from './smooth.js';
import { drawable } from './ticks.js';

/** How a chart is looked at. */
export interface Lens {
  axis: Axis;
  logarithmic: boolean;
  /** 0 to 0.99 */
  smoothing: number;
  /** Unix seconds at which the time axis has its zero */
  origin: number;
}

/** Columns of one length: of the points kept, or of an answer to `range`. */
export interface Columns {
  x: ArrayLike<number>;
  min: ArrayLike<number>;
  max: ArrayLike<number>;
  last: ArrayLike<number>;
}

export type Values = (number | null)[];

/** What is drawn; y is the power of ten where the lens is logarithmic. */
export interface Curve {
  x: number[];
  low: Values;
  high: Values;
  raw: Values;
  smooth: Values;
  /** low and high differ somewhere */
  band: boolean;
  /** points that a logarithm cannot show */
  hidden: number;
}

/** The curve of *columns* as the lens shows it: x rises, gaps are null. */
export function curve(columns: Columns, lens: Lens): Curve {
  const order = rising(columns.x);
  const place = (value: number): number | null => height(value, lens.logarithmic);
  const pick = (from: ArrayLike<number>): Values => order.map(i => place(from[i] as number));
  const raw = pick(columns.last);
  const [low, high] = [pick(columns.min), pick(columns.max)];
  const smoothed: Values = [];
  if (lens.smoothing > 0) {
    const out = smooth(order.map(i => columns.last[i] as number), lens.smoothing, new Float64Array(order.length));
    out.forEach(value => smoothed.push(place(value)));
  }
  const shift = lens.axis === 'time' ? lens.origin : 0;
  return {
    x: order.map(i => (columns.x[i] as number) - shift),
    low,
    high,
    raw,
    smooth: smoothed,
    band: order.some(i => columns.min[i] !== columns.max[i] && Number.isFinite(columns.min[i])),
    hidden: order.reduce((n, i, at) => n + (raw[at] === null && Number.isFinite(columns.last[i]) ? 1 : 0), 0)
  };
}

function height(value: number, logarithmic: boolean): number | null {
  if (!Number.isFinite(value)) {
    return null;
  }
  if (!logarithmic) {
    return drawable(value);
  }
  return value > 0 ? Math.log10(value) : null;
}

/** Indices in the order of rising *x*, without those whose x is no number: steps may repeat and go back. */
function rising(x: ArrayLike<number>): number[] {
  const order: number[] = [];
  let sorted = true;
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    if (Number.isFinite(value)) {
      sorted &&= order.length === 0 || (x[order[order.length - 1] as number] as number) <= value;
      order.push(i);
    }
  }
  return sorted ? order : order.sort((a, b) => (x[a] as number) - (x[b] as number) || a - b);
}

/** Least and greatest finite value; null where there is none. */
export function extremes(low: ArrayLike<number>, high: ArrayLike<number>): [number, number] | null {
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < low.length; i++) {
    const [a, b] = [low[i] as number, high[i] as number];
    if (Number.isFinite(a) && a < least) {
      least = a;
    }
    if (Number.isFinite(b) && b > most) {
      most = b;
    }
  }
  return least <= most ? [least, most] : null;
}

/** The rows of an answer to `range` as columns. */
export function unpack(numbers: Float64Array, count: number): Columns {
  const rows = Math.min(count, Math.floor(numbers.length / 4));
  const column = (at: number): Float64Array => Float64Array.from({ length: rows }, (_, i) => numbers[4 * i + at] as number);
  return { x: column(0), min: column(1), max: column(2), last: column(3) };
}
