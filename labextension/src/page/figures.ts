// From what the server says to what a chart draws: units, names, curves of several runs on one axis.  Pure.

import type { Columns as Answer, Real, SystemSeries } from '../api.js';
import { smooth } from '../view/smooth.js';
import { t } from '../view/words.js';

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Values in a unit in which the largest of them is legible, and that unit's name. */
export function scaled(values: readonly number[], unit: string): [number[], string] {
  if (unit !== 'bytes' && unit !== 'bytes/s') {
    return [[...values], unit];
  }
  const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const power = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(most, 1)) / 3)));
  const name = SIZES[power] as string;
  return [values.map(value => value / 1000 ** power), unit === 'bytes' ? name : `${name}/s`];
}

const NAMES: Record<string, string> = {
  cpu: 'CPU',
  memory: 'Memory',
  processes: 'Processes',
  disk_read: 'Read from disk',
  disk_written: 'Written to disk',
  disk_free: 'Free on disk'
};
const ORDER = ['cpu', 'memory', 'gpu', 'disk_read', 'disk_written', 'disk_free', 'processes'];

/** A figure's name for people. */
export function called({ name }: Pick<SystemSeries, 'name'>): string {
  const gpu = /^gpu(\d+)(_memory)?$/.exec(name);
  if (gpu) {
    return gpu[2] ? t('GPU {n}: memory', { n: gpu[1] as string }) : t('GPU {n}', { n: gpu[1] as string });
  }
  return Object.hasOwn(NAMES, name) ? t(NAMES[name] as string) : name;
}

/** Figures in the order in which people look at them. */
export function ordered<Series extends { name: string }>(series: readonly Series[]): Series[] {
  const place = ({ name }: Series): number => {
    const at = ORDER.findIndex(known => name === known || (known === 'gpu' && /^gpu\d/.test(name)));
    return at < 0 ? ORDER.length : at;
  };
  return [...series].sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

export function real(value: Real): number {
  return typeof value === 'number' ? value : Number(value);
}

/** One line of a chart: x rises, null is a gap. */
export interface Line {
  x: number[];
  y: (number | null)[];
}

/** How all charts of a comparison are looked at. */
export interface Look {
  axis: 'step' | 'time';
  logarithmic: boolean;
  smoothing: number;
}

/** A metric of one run as a line; *origin*: what its time axis begins at. */
export function lineOf(answer: Answer, look: Look, origin: number): Line {
  const values = answer.last.map(real);
  const shown = look.smoothing > 0 ? smooth(values, look.smoothing, new Float64Array(values.length)) : values;
  const shift = look.axis === 'time' ? origin : 0;
  return {
    x: answer.x.map(x => x - shift),
    y: Array.from(shown, value => {
      if (!Number.isFinite(value) || (look.logarithmic && value <= 0)) {
        return null;
      }
      return look.logarithmic ? Math.log10(value) : value;
    })
  };
}

/** Lines on one common x axis, as a chart needs them; `undefined` where a line has no point of its own. */
export function joined(lines: readonly Line[]): [number[], ...(number | null | undefined)[][]] {
  const all = [...new Set(lines.flatMap(line => line.x))].sort((a, b) => a - b);
  const place = new Map(all.map((x, i) => [x, i]));
  const columns = lines.map(line => {
    const column = new Array<number | null | undefined>(all.length).fill(undefined);
    line.x.forEach((x, i) => (column[place.get(x) as number] = line.y[i] ?? null));
    return column;
  });
  return [all, ...columns];
}
