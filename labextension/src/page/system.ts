// What a run used of the machine: one chart per figure.

import type { SystemInfo, SystemSeries } from '../api.js';
import { h, on, put, say, show } from '../view/dom.js';
import type { Palette } from '../view/plot.js';
import type { Store } from '../view/store.js';
import type { Machine } from '../view/usage.js';
import { bytes, number, span, t, whole } from '../view/words.js';
import { block, table, type Fact } from './blocks.js';
import { called, ordered, scaled, type Look } from './figures.js';
import { Lines } from './lines.js';
import { runPath, type Server } from './server.js';
import { Latest, State } from './state.js';

const LOOK: Look = { axis: 'time', logarithmic: false, smoothing: 0 };
let groups = 0;

export class System {
  readonly element = h('div', { class: 'system-tab' });
  private readonly state = new State();
  private readonly facts = h('div', { class: 'blocks' });
  private readonly grid = h('div', { class: 'lines-grid' });
  private readonly charts = new Map<string, Figure>();
  private readonly latest = new Latest();
  private readonly group = `jupyter_mlrun-system-${++groups}`;
  private origin = 0;
  private info: SystemInfo | null = null;
  /** `info` was asked for when the run was over: nothing comes after it */
  private whole = false;
  /** the version of the pushed samples that is drawn; -1: draw whatever there is */
  private drawn = -1;

  constructor(
    private readonly server: Server,
    private readonly run: string,
    private readonly store: Store,
    private readonly palette: () => Palette,
    signal: AbortSignal
  ) {
    this.element.append(this.state.element, h('div', { class: 'lines-place' }, this.grid), this.facts);
    const sizes = new ResizeObserver(() => this.charts.forEach(figure => figure.lines.resize()));
    sizes.observe(this.grid);
    signal.addEventListener('abort', () => {
      this.latest.begin();
      sizes.disconnect();
      this.charts.forEach(figure => figure.lines.end());
    });
  }

  /** Ask for what there is so far; what comes later comes over the live channel. */
  async load(origin: number, over: boolean): Promise<void> {
    const current = this.latest.begin();
    this.origin = origin;
    if (!this.charts.size) {
      this.state.loading();
    }
    try {
      const info = await this.server.ask<SystemInfo>('GET', runPath(this.run, 'system'));
      if (current()) {
        [this.info, this.whole, this.drawn] = [info, over, -1];
        this.draw();
      }
    } catch (error) {
      if (current()) {
        this.state.failed(error, () => void this.load(origin, over));
      }
    }
  }

  redraw(): void {
    this.charts.forEach(figure => figure.lines.redraw());
  }

  draw(): void {
    const { machine } = this.store;
    if (!this.info || this.drawn === machine.version) {
      return;
    }
    this.drawn = machine.version;
    const pushed = !this.whole && machine.figures.size > 0;
    const series: readonly SystemSeries[] = pushed ? [...machine.figures.values()] : this.info.series;
    if (series.some(one => one.times.length)) {
      this.state.done();
    } else {
      this.state.empty(t('Nothing was measured yet: the first figures come some seconds after the start.'));
    }
    for (const one of ordered(series)) {
      let figure = this.charts.get(one.name);
      if (!figure) {
        figure = new Figure(called(one), this.palette, this.group);
        this.charts.set(one.name, figure);
        this.grid.append(figure.element);
      }
      figure.draw(one, this.origin, this.palette().line);
    }
    const facts = block(t('Machine'), table(pushed ? factsOf(machine) : this.info.facts));
    this.facts.replaceChildren(...(facts ? [facts] : []));
  }
}

/** What is known of the machine while the run goes on; what it used in all is said when it is over. */
function factsOf({ cores, memory, gpus, figures }: Machine): Fact[] {
  const most = figures.get('memory')?.values.reduce((a, b) => Math.max(a, b), 0);
  return [
    [t('CPU cores'), whole(cores)],
    [t('memory'), bytes(memory)],
    ...gpus.map(([name, size], i): Fact => [t('GPU {n}', { n: i }), `${name}, ${bytes(size)}`]),
    [t('most memory'), most === undefined ? null : bytes(most)]
  ];
}

class Figure {
  readonly element: HTMLElement;
  readonly lines: Lines;
  private readonly value = h('span', { class: 'value' });
  private readonly at = h('span', { class: 'at' });
  private readonly place = h('div', { class: 'line-plot', tabindex: 0, role: 'group', 'aria-roledescription': t('chart') });
  private last = '';
  private unit = '';

  constructor(
    private readonly title: string,
    palette: () => Palette,
    group: string
  ) {
    this.element = h('article', { class: 'card', 'data-form': 'chart' }, h('div', { class: 'top' }, h('h4', { class: 'metric' }, title), this.at, this.value), this.place);
    this.lines = new Lines(this.place, palette, (x, values) => this.point(x, values[0] ?? null), group, 0);
    keys(this.place, this.lines);
  }

  draw(series: SystemSeries, origin: number, colour: string): void {
    const [values, unit] = scaled(series.values, series.unit);
    this.unit = unit;
    const last = values.at(-1);
    this.last = last === undefined ? '' : this.words(last);
    this.lines.draw([{ x: series.times.map(time => time - origin), y: values, colour, dashed: false }], LOOK);
    const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
    put(this.place, 'aria-label', t('{name}: last {last}, most {most}', { name: this.title, last: this.last, most: this.words(most) }));
    this.point(null, null);
  }

  private words(value: number): string {
    return `${number(Number(value.toPrecision(4)))} ${this.unit}`.trim();
  }

  private point(x: number | null, value: number | null): void {
    say(this.value, x === null ? this.last : value === null ? '–' : this.words(value));
    say(this.at, x === null ? '' : t('after {time}', { time: span(x) }));
    show(this.at, x !== null);
  }
}

/** Arrow keys move along a chart, Escape shows all of it. */
export function keys(place: HTMLElement, lines: Lines): void {
  on(place, 'keydown', event => {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
    const by = steps[event.key];
    if (by !== undefined) {
      lines.step(by);
    } else if ((event.key === 'Escape' || event.key === '0') && lines.zoomed) {
      lines.reset();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }, new AbortController().signal);
}
