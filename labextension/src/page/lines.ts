// A chart of several lines on one axis, each with its colour: for comparisons, and for figures of the machine.

import uPlot from 'uplot';
import { logTicks, range, ticks, timeTicks } from '../view/ticks.js';
import { number, span } from '../view/words.js';
import type { Palette } from '../view/plot.js';
import { joined, type Line, type Look } from './figures.js';

export const HEIGHT = 200;

export interface Drawn extends Line {
  colour: string;
  /** beyond as many lines as there are colours */
  dashed: boolean;
}

export class Lines {
  private chart: uPlot | null = null;
  private drawn: readonly Drawn[] = [];
  private look: Look = { axis: 'step', logarithmic: false, smoothing: 0 };
  private zoom: [number, number] | null = null;

  /** *pointed*: the values at the cursor, or null where it left; *floor*: a value that the y axis always has. */
  constructor(
    private readonly place: HTMLElement,
    private readonly palette: () => Palette,
    private readonly pointed: (x: number | null, values: (number | null)[]) => void,
    private readonly group: string,
    private readonly floor: number | null = null
  ) {}

  draw(lines: readonly Drawn[], look: Look): void {
    if (look.axis !== this.look.axis) {
      this.zoom = null;
    }
    this.look = look;
    const data = joined(lines) as uPlot.AlignedData;
    const same = this.drawn.length === lines.length && this.drawn.every((one, i) => one.colour === lines[i]?.colour);
    this.drawn = lines;
    if (this.chart && same) {
      this.chart.setData(data, true);
      return;
    }
    this.end();
    this.chart = new uPlot(this.options(), data, this.place);
  }

  resize(): void {
    const width = this.place.clientWidth;
    if (this.chart && width > 0 && Math.abs(width - this.chart.width) >= 1) {
      this.chart.setSize({ width, height: HEIGHT });
    }
  }

  redraw(): void {
    this.chart?.redraw(false, true);
  }

  reset(): void {
    this.zoom = null;
    this.chart?.setData(this.chart.data, true);
  }

  get zoomed(): boolean {
    return this.zoom !== null;
  }

  /** Move the cursor by so many points: for the keyboard. */
  step(by: number): void {
    const { chart } = this;
    const x = chart?.data[0];
    if (!chart || !x?.length) {
      return;
    }
    const at = Math.min(Math.max((chart.cursor.idx ?? (by > 0 ? -1 : x.length)) + by, 0), x.length - 1);
    chart.setCursor({ left: chart.valToPos(x[at] as number, 'x'), top: HEIGHT / 3 });
  }

  end(): void {
    this.chart?.destroy();
    this.chart = null;
  }

  private options(): uPlot.Options {
    return {
      width: Math.max(this.place.clientWidth, 40),
      height: HEIGHT,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, low, high) => this.zoom ?? range(low ?? NaN, high ?? NaN) },
        y: { range: (_, low, high) => this.height(low ?? NaN, high ?? NaN) }
      },
      series: [{}, ...this.drawn.map(one => this.series(one))],
      axes: this.axes(),
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        points: { size: 6 },
        sync: { key: this.group, setSeries: false, scales: ['x', null] },
        bind: { dblclick: () => () => (this.reset(), null) }
      },
      hooks: { setSelect: [() => this.selected()], setCursor: [chart => this.point(chart)] }
    };
  }

  private series(one: Drawn): uPlot.Series {
    const few = one.x.length < 30;
    return {
      stroke: one.colour,
      width: 1.75,
      ...(one.dashed ? { dash: [6, 4] } : {}),
      // points of other lines lie between those of this one
      spanGaps: false,
      points: { show: few, size: one.x.length === 1 ? 6 : 4, width: 0, fill: one.colour }
    };
  }

  private axes(): uPlot.Axis[] {
    const shared: uPlot.Axis = {
      stroke: () => this.palette().text,
      font: this.palette().font,
      grid: { stroke: () => this.palette().grid, width: 1 },
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
        splits: (chart, _, low, high) => this.across(low, high, Math.max(2, Math.floor(chart.width / 80))),
        values: (_, places) => places.map(x => (this.look.axis === 'time' ? span(x) : number(x)))
      },
      {
        ...shared,
        size: (_, words) => Math.min(wide(words), 90),
        splits: (_, __, low, high) => (this.look.logarithmic ? logTicks(low, high) : ticks(low, high, 6)),
        values: (_, places) => places.map(y => number(this.look.logarithmic ? 10 ** y : y))
      }
    ];
  }

  private across(low: number, high: number, count: number): number[] {
    return this.look.axis === 'time'
      ? timeTicks(low, high, count)
      : ticks(low, high, count).filter(x => Number.isInteger(x) || high - low < 1);
  }

  private height(low: number, high: number): [number, number] {
    if (!this.look.logarithmic) {
      const floor = this.floor === null || low > high ? low : Math.min(low, this.floor);
      // what was always nothing has no range of its own
      return this.floor !== null && high === floor ? [floor, floor + 1] : range(floor, high, 0.06);
    }
    const pad = Math.max((high - low) * 0.06, 0.02);
    return low <= high ? [low - pad, high + pad] : [0, 1];
  }

  private selected(): void {
    const { chart } = this;
    if (!chart || chart.select.width < 4) {
      return;
    }
    const { left, width } = chart.select;
    this.zoom = [chart.posToVal(left, 'x'), chart.posToVal(left + width, 'x')];
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    chart.setData(chart.data, true);
    this.pointed(null, []);
  }

  /** Each line's value at the cursor: its own point there, or the last one before. */
  private point(chart: uPlot): void {
    const index = chart.cursor.idx;
    const x = index === null || index === undefined ? undefined : chart.data[0]?.[index];
    if (index === null || index === undefined || x === undefined) {
      this.pointed(null, []);
      return;
    }
    const values = this.drawn.map((_, i) => {
      const column = chart.data[i + 1];
      for (let at = index; column && at >= 0; at--) {
        const value = column[at];
        if (value !== undefined) {
          return value === null ? null : this.look.logarithmic ? 10 ** value : value;
        }
      }
      return null;
    });
    this.pointed(x, values);
  }
}
