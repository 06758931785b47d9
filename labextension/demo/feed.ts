// The other end of the view without Python: a run made up here, which answers as ui/feed.py does.

import type { Cells, Form, Frame, FromView, Run, Series, System } from '../src/contract.js';

export interface Made {
  name: string;
  kind: Series['kind'];
  last: string;
  /** step, time, value */
  points: [number, number, number][];
  form?: Form;
}

/** Figures of the machine: name, unit, most, values every 2 s. */
export interface Used {
  cores: number;
  memory: number;
  gpus: [string, number][];
  figures: [string, string, number | null, number[]][];
}

export const RUN: Run = {
  id: 'notebook_1789_3f2a9c1e',
  name: 'first try',
  experiment: 'notebook',
  target: 'local',
  by: 'ada',
  status: 'Running',
  shown: 'Running',
  reason: null,
  waiting: null,
  created: 1_790_000_000,
  started: 1_790_000_002,
  ended: null,
  over: false,
  can_stop: true,
  warnings: [],
  parameters: [['lr', '0.05'], ['batch_size', '64'], ['optimizer', 'adamw'], ['augment', 'True']],
  tags: [['stage', 'demo']],
  inputs: ['hymenoptera:3 (397 files, 45 MB)'],
  links: [['TensorBoard', 'http://127.0.0.1:6006/'], ['Not a link', 'javascript:alert(1)']],
  logs: ['std_log.txt']
};

type Send = (message: object, buffers: DataView[]) => void;

export class Feed {
  run: Run = { ...RUN };
  metrics: Made[] = [];
  total = 0;
  line: (number: number) => string = number => `line ${number + 1}`;
  /** the kernel is busy: nothing is answered */
  busy = false;
  /** what the view said */
  readonly heard: FromView[] = [];
  problem: string | null = null;
  dropped: string | null = null;
  used: Used | null = null;
  cells: Cells | null = null;
  /** a picture's bytes, as text of base64 */
  picture = '';
  now: () => number = () => 1_790_000_189;
  private seq = 0;
  private waiting: FromView[] = [];

  constructor(private readonly send: Send) {}

  /** A message of the view. */
  hear(message: FromView): void {
    this.heard.push(message);
    if (this.busy) {
      this.waiting.push(message);
    } else {
      // as over a network: never in the same breath
      queueMicrotask(() => this.answer(message));
    }
  }

  /** The kernel is idle again. */
  idle(): void {
    this.busy = false;
    this.waiting.splice(0).forEach(message => this.answer(message));
  }

  /** A full frame. */
  full(): void {
    const numbers: number[] = [];
    const series = this.metrics.map(metric => {
      const offset = numbers.length;
      const rows = bucketed(metric.points, 800);
      rows.forEach(row => numbers.push(...row));
      return described(metric, 'reset', offset, rows.length);
    });
    series.forEach(one => {
      one.form &&= { ...one.form, lines: lines(one.form, numbers) };
    });
    const from = Math.max(0, this.total - 500);
    const more = { ...(this.used ? { system: this.system(this.used, numbers) } : {}), ...(this.cells ? { cells: this.cells } : {}) };
    this.push({ full: true, run: this.run, series, log: this.log(from), ...more }, numbers);
  }

  /** New points of a metric, as they come while a run moves. */
  append(name: string, points: [number, number, number][]): void {
    const metric = this.metrics.find(made => made.name === name);
    if (metric) {
      metric.points.push(...points);
      metric.last = String(points.at(-1)?.[2] ?? metric.last);
      const series = described(metric, 'append', 0, points.length);
      this.push({ series: [series] }, points.flat());
    }
  }

  /** More lines at the end of the log. */
  print(count: number): void {
    const from = Math.max(this.total, this.total + count - 500);
    this.total += count;
    this.push({ log: this.log(from) });
  }

  /** A change of the run. */
  become(change: Partial<Run>): void {
    this.run = { ...this.run, ...change };
    this.push({ run: this.run });
  }

  /** Frames that get lost. */
  lose(count: number): void {
    this.seq += count;
  }

  push(parts: Partial<Frame>, numbers: number[] = []): void {
    const head = { type: 'frame', seq: this.seq++, full: false, now: this.now(), problem: this.problem, series: [] };
    // one byte off, as buffers of a comm may lie
    const bytes = new Uint8Array(numbers.length * 8 + 1);
    const view = new DataView(bytes.buffer, 1);
    numbers.forEach((value, i) => view.setFloat64(i * 8, value, true));
    this.send({ ...head, ...parts }, [view]);
  }

  private system({ cores, memory, gpus, figures }: Used, numbers: number[]): System {
    const usage = figures.map(([name, unit, most, values]) => {
      const offset = numbers.length;
      values.forEach((value, i) => numbers.push((this.run.started ?? 0) + 2 * i, value));
      return { name, unit, most, mode: 'reset' as const, offset, points: values.length };
    });
    return { cores, memory, gpus, usage };
  }

  private log(from: number): Frame['log'] & object {
    const lines = Array.from({ length: this.total - from }, (_, i) => this.line(from + i));
    const { total, dropped } = this;
    return { from, lines, total, bytes: total * 61, partial: false, dropped, skipped: 0 };
  }

  private answer(message: FromView): void {
    if (message.type === 'hello') {
      this.full();
    } else if (message.type === 'lines') {
      const count = Math.max(0, Math.min(message.to, this.total) - message.from);
      const lines = Array.from({ length: count }, (_, i) => this.line(message.from + i));
      this.send({ type: 'lines', ask: message.ask, from: message.from, lines, total: this.total }, []);
    } else if (message.type === 'search') {
      this.send({ type: 'found', ask: message.ask, line: this.find(message), total: this.total, searched: 'all', next: null }, []);
    } else if (message.type === 'count') {
      const all = Array.from({ length: this.total }, (_, i) => i).filter(i => this.line(i).toLowerCase().includes(message.text.toLowerCase()));
      const slice = all.filter(i => i >= message.from && i < message.from + 100_000);
      const next = message.from + 100_000 < this.total ? message.from + 100_000 : null;
      this.send({ type: 'counted', ask: message.ask, count: slice.length, before: slice.filter(i => i <= message.at).length, total: this.total, next }, []);
    } else if (message.type === 'image') {
      const bytes = Uint8Array.from(atob(this.picture), char => char.charCodeAt(0));
      const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
      padded.set(bytes);
      this.send({ type: 'image', ask: message.ask, metric: message.metric, mime: 'image/png', size: bytes.length }, [new DataView(padded.buffer)]);
    } else if (message.type === 'range') {
      this.range(message);
    } else if (message.type === 'command') {
      this.send({ type: 'done', ask: message.ask, error: null }, []);
      this.become({ status: 'CancelRequested', shown: 'CancelRequested' });
    }
  }

  private find({ text, from, backward }: { text: string; from: number; backward: boolean }): number | null {
    for (let n = from; n >= 0 && n < this.total; n += backward ? -1 : 1) {
      if (this.line(n).toLowerCase().includes(text.toLowerCase())) {
        return n;
      }
    }
    return null;
  }

  private range(message: FromView & { type: 'range' }): void {
    const column = message.x === 'step' ? 0 : 1;
    const points = this.metrics.find(made => made.name === message.metric)?.points ?? [];
    const inside = points.filter(p => p[column] >= message.from && p[column] <= message.to);
    const rows = bucketed(inside, message.buckets).map(row => [row[column] as number, row[2], row[3], row[4]] as number[]);
    const view = new DataView(new ArrayBuffer(rows.length * 32));
    rows.flat().forEach((value, i) => view.setFloat64(i * 8, value, true));
    const { ask, metric, x } = message;
    this.send({ type: 'range', ask, metric, x, count: rows.length, nonfinite: 0, exact: true }, [view]);
  }
}

function described(metric: Made, mode: Series['mode'], offset: number, points: number): Series {
  const odd = metric.points.filter(p => !Number.isFinite(p[2])).map((p): [number, number, string] => [p[0], p[1], 'NaN']);
  const columns = mode === 'reset' ? ['step', 'time', 'min', 'max', 'last'] : ['step', 'time', 'value'];
  const { name, kind, last } = metric;
  const form = metric.form ? { form: metric.form } : {};
  return { name, kind, last, mode, offset, points, columns, count: metric.points.length, nonfinite: odd.length, odd: odd.slice(-50), ...form };
}

/** step, time, min, max, last of at most *most* buckets. */
function bucketed(points: readonly [number, number, number][], most: number): number[][] {
  const size = Math.max(1, Math.ceil(points.length / most));
  const rows: number[][] = [];
  for (let i = 0; i < points.length; i += size) {
    const part = points.slice(i, i + size);
    const values = part.map(p => p[2]).filter(Number.isFinite);
    const [step, time, last] = part.at(-1) as [number, number, number];
    const none = values.length === 0;
    rows.push([step, time, none ? NaN : Math.min(...values), none ? NaN : Math.max(...values), last]);
  }
  return rows;
}

/** A line for each column of numbers of a made-up table. */
function lines(form: Form, numbers: number[]): [number, number, number][] {
  return form.columns.flatMap((_, column): [number, number, number][] => {
    const values = form.rows.map(row => Number(row[column]));
    if (form.form !== 'row' || form.rows.length < 2 || values.some(Number.isNaN)) {
      return [];
    }
    const offset = numbers.length;
    values.forEach((value, i) => numbers.push(i, value, value, value));
    return [[column, offset, values.length]];
  });
}
