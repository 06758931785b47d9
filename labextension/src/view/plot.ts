// One chart: uPlot with our axes, colours and gestures.  It draws what it is given and tells what was dragged.

import uPlot from 'uplot';
import type { Curve, Lens } from './curve.js';
import { logTicks, range, ticks, timeTicks } from './ticks.js';
import { number, span, whole } from './words.js';

export const HEIGHT = 168;

/** Colours and letters of the page's theme, as a canvas needs them. */
export interface Palette {
  line: string;
  faint: string;
  band: string;
  grid: string;
  text: string;
  bad: string;
  font: string;
}

export interface Gestures {
  /** a part of the x axis was dragged over */
  zoom(from: number, to: number): void;
  reset(): void;
  /** the pointer, here or in a chart beside it, is at this point; null when it left */
  cursor(index: number | null): void;
}

const POINTS = 40;
const SHARED = new Set(['mousemove', 'mouseleave', 'mouseenter']);

export class Plot {
  private readonly chart: uPlot;
  private lens: Lens | null = null;
  private window: [number, number] | null = null;
  private odd: readonly number[] = [];
  private curve: Curve | null = null;

  constructor(
    place: HTMLElement,
    private readonly palette: () => Palette,
    private readonly gestures: Gestures,
    group: string
  ) {
    const width = Math.max(place.clientWidth, 40);
    this.chart = new uPlot(this.options(group, width), [[], [], [], [], []] as unknown as uPlot.AlignedData, place);
  }

  /** Draw *curve*; *window* is the part of the x axis, null for all of it. */
  draw(curve: Curve, lens: Lens, window: [number, number] | null, odd: readonly number[]): void {
    [this.lens, this.window, this.odd, this.curve] = [lens, window, odd, curve];
    const smoothed = lens.smoothing > 0;
    const none: (number | null)[] = [];
    const band = curve.band && !smoothed;
    const data = [
      curve.x,
      band ? curve.low : none,
      band ? curve.high : none,
      curve.raw,
      smoothed ? curve.smooth : none
    ];
    this.chart.setData(data as uPlot.AlignedData, true);
  }

  /** After a change of theme. */
  redraw(): void {
    this.chart.redraw(false, true);
  }

  resize(width: number): void {
    if (width > 0 && Math.abs(width - this.chart.width) >= 1) {
      this.chart.setSize({ width, height: HEIGHT });
    }
  }

  /** Put the cursor on a point, here and in the charts beside it. */
  point(index: number): void {
    const x = this.curve?.x[index];
    if (x !== undefined) {
      // its types leave out the third: tell the charts beside it
      const chart = this.chart as unknown as { setCursor(at: object, fire: boolean, tell: boolean): void };
      chart.setCursor({ left: this.chart.valToPos(x, 'x'), top: HEIGHT / 3 }, true, true);
    }
  }

  /** The part of the x axis that is seen. */
  get seen(): [number, number] | null {
    const { min, max } = this.chart.scales['x'] ?? {};
    return min === undefined || max === undefined || min === null || max === null ? null : [min, max];
  }

  end(): void {
    this.chart.destroy();
  }

  private options(group: string, width: number): uPlot.Options {
    const color = (name: keyof Palette) => (): string => this.palette()[name];
    return {
      width,
      height: HEIGHT,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, low, high) => this.window ?? range(low ?? NaN, high ?? NaN) },
        y: { range: (_, low, high) => this.height(low ?? NaN, high ?? NaN) }
      },
      series: this.series(color),
      bands: [{ series: [2, 1], fill: color('band') }],
      axes: this.axes(color),
      cursor: this.cursor(group),
      hooks: {
        setSelect: [() => this.selected()],
        setCursor: [() => this.gestures.cursor(this.chart?.cursor.idx ?? null)],
        draw: [() => this.drawOdd()]
      }
    };
  }

  private series(color: (name: keyof Palette) => () => string): uPlot.Series[] {
    const edge: uPlot.Series = { stroke: color('band'), width: 1, points: { show: false } };
    return [
      {},
      edge,
      edge,
      {
        stroke: () => this.palette()[this.lens && this.lens.smoothing > 0 ? 'faint' : 'line'],
        width: 1.5,
        points: {
          show: (_, __, from, to) => to - from < POINTS,
          filter: (_, __, shown) => (shown ? null : this.alone()),
          size: 4,
          width: 0,
          fill: color('line')
        }
      },
      { stroke: color('line'), width: 2, points: { show: false } }
    ];
  }

  private axes(color: (name: keyof Palette) => () => string): uPlot.Axis[] {
    const shared: uPlot.Axis = {
      stroke: color('text'),
      font: this.palette().font,
      grid: { stroke: color('grid'), width: 1 },
      ticks: { show: false },
      // marks are our own: it must only not think that none has room, whatever the range
      incrs: () => [Number.MAX_VALUE],
      space: 1,
      gap: 5
    };
    const wide = (words: string[] | null): number => Math.max(...(words ?? []).map(word => word.length), 3) * 6.2 + 12;
    return [
      {
        ...shared,
        grid: { show: false },
        size: 24,
        splits: (_, __, low, high) => this.across(low, high),
        values: (_, places) => places.map(x => (this.lens?.axis === 'time' ? span(x) : step(x)))
      },
      {
        ...shared,
        size: (_, words) => Math.min(wide(words), 90),
        splits: (_, __, low, high) => (this.lens?.logarithmic ? logTicks(low, high) : ticks(low, high, 6)),
        values: (_, places) => places.map(y => number(this.lens?.logarithmic ? 10 ** y : y))
      }
    ];
  }

  private cursor(group: string): uPlot.Cursor {
    return {
      y: false,
      drag: { x: true, y: false, setScale: false, dist: 4 },
      points: { size: 7, width: 2, fill: () => this.palette().line, stroke: () => this.palette().band },
      sync: {
        key: group,
        setSeries: false,
        scales: ['x', null],
        filters: { pub: type => SHARED.has(type), sub: type => SHARED.has(type) }
      },
      bind: { dblclick: () => () => (this.gestures.reset(), null) }
    };
  }

  private across(low: number, high: number): number[] {
    const count = Math.max(2, Math.floor(this.chart.width / 80));
    if (this.lens?.axis === 'time') {
      return timeTicks(low, high, count);
    }
    // a step is a whole number: halves would be marks of nothing
    return ticks(low, high, count).filter(x => Number.isInteger(x) || high - low < 1);
  }

  private height(low: number, high: number): [number, number] {
    if (!this.lens?.logarithmic) {
      return range(low, high, 0.06);
    }
    const pad = Math.max((high - low) * 0.06, 0.02);
    return low <= high ? [low - pad, high + pad] : [0, 1];
  }

  /** Points that no line reaches: gaps on both sides. */
  private alone(): number[] | null {
    const raw = this.curve?.raw ?? [];
    const found: number[] = [];
    raw.forEach((value, i) => {
      if (value !== null && (raw[i - 1] ?? null) === null && (raw[i + 1] ?? null) === null) {
        found.push(i);
      }
    });
    return found.length ? found : null;
  }

  private selected(): void {
    const { left, width } = this.chart.select;
    if (width < 4) {
      return;
    }
    const [from, to] = [this.chart.posToVal(left, 'x'), this.chart.posToVal(left + width, 'x')];
    this.chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.gestures.zoom(from, to);
  }

  /** A mark at the top for each value that is no number: a loss that became NaN must be seen. */
  private drawOdd(): void {
    const { ctx, bbox } = this.chart;
    const size = 4 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = this.palette().bad;
    for (const x of this.odd) {
      const at = this.chart.valToPos(x, 'x', true);
      if (at >= bbox.left && at <= bbox.left + bbox.width) {
        ctx.beginPath();
        ctx.moveTo(at - size, bbox.top);
        ctx.lineTo(at + size, bbox.top);
        ctx.lineTo(at, bbox.top + 1.6 * size);
        ctx.fill();
      }
    }
    ctx.restore();
  }
}

/** `1,200`, `50k`, `1.5M`. */
function step(x: number): string {
  const size = Math.abs(x);
  if (size >= 1e15) {
    return number(x);
  }
  if (size >= 1e6) {
    return `${Number((x / 1e6).toPrecision(6))}M`;
  }
  return size >= 1e4 ? `${Number((x / 1e3).toPrecision(6))}k` : Number.isInteger(x) ? whole(x) : number(x);
}
