// What a view knows of its run: frames go in, the parts that changed come out.  No DOM, no transport.

import type { Frame, Run } from '../contract.js';
import { LogLines } from './loglines.js';
import { Metric } from './series.js';
import { Machine, Progress } from './usage.js';

/** What a frame changed. */
export interface Change {
  run: boolean;
  metrics: boolean;
  log: boolean;
  /** something is missing, or there is too much: say hello */
  hello: boolean;
}

export class Store {
  run: Run | null = null;
  readonly metrics = new Map<string, Metric>();
  readonly log = new LogLines();
  readonly machine = new Machine();
  readonly progress = new Progress();
  /** metrics that are not sent */
  more = 0;
  problem: string | null = null;
  /** the last frame's number */
  seq: number | null = null;
  /** Python's clock less ours, in seconds */
  skew = 0;

  /** A frame's worth of news; *clock* is ours, in seconds. */
  apply(frame: Frame, numbers: Float64Array, clock = Date.now() / 1000): Change {
    const gap = !frame.full && (this.seq === null || frame.seq !== this.seq + 1);
    const before = this.problem;
    this.seq = frame.seq;
    this.skew = frame.now - clock;
    this.problem = frame.problem ?? null;
    if (frame.run) {
      this.run = frame.run;
    }
    const changed = this.takeSeries(frame, numbers);
    this.takeLog(frame);
    this.takeRest(frame, numbers);
    return {
      run: Boolean(frame.run) || before !== this.problem,
      metrics: frame.series.length > 0 || frame.full,
      log: Boolean(frame.log) || frame.full,
      hello: gap || changed
    };
  }

  /** Python's time now. */
  now(clock = Date.now() / 1000): number {
    return clock + this.skew;
  }

  /** Seconds of user code so far; null before it began. */
  elapsed(clock = Date.now() / 1000): number | null {
    if (!this.run || this.run.started === null) {
      return null;
    }
    return Math.max(0, (this.run.ended ?? this.now(clock)) - this.run.started);
  }

  private takeSeries(frame: Frame, numbers: Float64Array): boolean {
    if (frame.full) {
      const named = new Set(frame.series.map(series => series.name));
      for (const name of this.metrics.keys()) {
        if (!named.has(name)) {
          this.metrics.delete(name);
        }
      }
    }
    if (frame.full || frame.more_series !== undefined) {
      this.more = frame.more_series ?? 0;
    }
    let tooMany = false;
    for (const series of frame.series) {
      let metric = this.metrics.get(series.name);
      if (!metric) {
        metric = new Metric(series.name);
        this.metrics.set(series.name, metric);
      }
      tooMany = metric.take(series, numbers) || tooMany;
    }
    return tooMany;
  }

  private takeRest(frame: Frame, numbers: Float64Array): void {
    if (frame.system) {
      this.machine.take(frame.system, numbers);
    } else if (frame.full) {
      this.machine.clear();
    }
    if (frame.full) {
      this.progress.clear();
    }
    if (frame.cells) {
      this.progress.take(frame.cells);
    }
  }

  private takeLog(frame: Frame): void {
    const log = frame.log;
    if (frame.full) {
      // lines are known by number, so those held stay right, unless the log began anew
      if (!log || log.total < this.log.total) {
        this.log.clear();
      }
    }
    if (log) {
      this.log.total = log.total;
      this.log.bytes = log.bytes;
      this.log.partial = log.partial;
      this.log.dropped = log.dropped;
      this.log.put(log.from, log.lines);
    }
  }
}
