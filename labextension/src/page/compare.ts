// Runs beside one another: their curves in the same charts, and a table of what they were given and what became of it.

import { MOST_ROWS, type Columns, type Comparison, type CompareRow, type RunRow, type RunsUpdate, type Section } from '../api.js';
import { button, h, on, put, say, show } from '../view/dom.js';
import { Frames } from '../view/frames.js';
import { Theme } from '../view/theme.js';
import { number, plural, span, t } from '../view/words.js';
import { lineOf, type Look } from './figures.js';
import { Lines, type Drawn } from './lines.js';
import { status } from './runtable.js';
import { runPath, type Server } from './server.js';
import { Latest, State } from './state.js';
import { keys } from './system.js';

/** Colours of lines: style/page/compare.css has as many; with more runs, lines are dashed. */
export const COLOURS = 10;
const BUCKETS = 600;
/** Metrics that are drawn; a filter finds the others. */
const MOST_CHARTS = 60;
/** Milliseconds in which changes of runs are gathered before they are read again. */
const CALM = 2000;
let groups = 0;

export interface CompareHost {
  /** an element that opens a run */
  link(run: RunRow): Node;
  /** another choice of runs; none: leave */
  chose(runs: string[]): void;
}

export class CompareView {
  readonly element = h('div', { class: 'mlr-live mlr-page mlr-compare', 'data-tab': 'page', role: 'region', 'aria-label': t('Comparison of runs') });
  private readonly end = new AbortController();
  private readonly state = new State();
  private readonly legend = h('ul', { class: 'legend', 'aria-label': t('Runs that are compared') });
  private readonly tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': t('How charts are drawn') });
  private readonly grid = h('div', { class: 'lines-grid' });
  private readonly noCharts = h('p', { class: 'note' });
  private readonly table: DifferenceTable;
  private readonly content = h('div', { class: 'page-body' });
  private readonly charts = new Map<string, Overlay>();
  private readonly hidden = new Set<string>();
  private readonly latest = new Latest();
  private readonly frames = new Frames(() => this.draw());
  private readonly theme: Theme;
  private readonly look: Look = { axis: 'step', logarithmic: false, smoothing: 0 };
  private readonly filter = h('input', { type: 'search', class: 'field', placeholder: t('Filter metrics'), 'aria-label': t('Filter metrics by name') });
  private readonly group = `jupyter_mlrun-compare-${++groups}`;
  private readonly sight: IntersectionObserver;
  private found: Comparison | null = null;
  private calm: ReturnType<typeof setTimeout> | undefined;
  /** ends the list of active runs, which says when one of ours moved */
  private unfollow: (() => void) | null = null;
  private readAt = 0;
  private shown = false;

  constructor(
    private readonly server: Server,
    private runs: readonly string[],
    private readonly host: CompareHost
  ) {
    const { signal } = this.end;
    this.theme = new Theme(this.element, () => (this.charts.forEach(chart => chart.stale()), this.frames.request()), signal);
    this.table = new DifferenceTable(host, run => this.colour(run), signal);
    this.sight = new IntersectionObserver(entries => this.inSight(entries), { root: this.content, rootMargin: '200px' });
    this.toolbar(signal);
    const curves = h('section', { 'aria-label': t('Curves') }, this.tools, h('div', { class: 'lines-place' }, this.grid), this.noCharts);
    this.content.append(curves, this.table.element);
    this.element.append(h('header', { class: 'head' }, h('h1', {}, t('Comparison')), this.legend), this.state.element, this.content);
    show(this.content, false);
    const sizes = new ResizeObserver(() => this.charts.forEach(chart => chart.lines.resize()));
    sizes.observe(this.grid);
    document.addEventListener('visibilitychange', () => this.looked(), { signal });
    signal.addEventListener('abort', () => (sizes.disconnect(), this.sight.disconnect()));
    this.state.loading();
    void this.load();
  }

  visible(shown: boolean): void {
    this.shown = shown;
    this.looked();
  }

  dispose(): void {
    this.end.abort();
    this.latest.begin();
    this.follow(false);
    this.frames.end();
    this.charts.forEach(chart => chart.lines.end());
    this.element.remove();
  }

  private looked(): void {
    this.follow(this.shown && document.visibilityState === 'visible' && this.moving().size > 0);
  }

  /** Those of ours that were not over when they were read. */
  private moving(): Set<string> {
    return new Set(this.found?.runs.filter(run => !run.over).map(run => run.id));
  }

  /** Hear of runs that go on, or hear no more. */
  private follow(wanted: boolean): void {
    if (!wanted) {
      clearTimeout(this.calm);
      this.calm = undefined;
      this.unfollow?.();
      this.unfollow = null;
    } else if (!this.unfollow) {
      const query = { status: 'active', limit: MOST_ROWS };
      this.unfollow = this.server.list(query, update => this.heard(update));
    }
  }

  /** One that ended is in the list no more. */
  private heard({ full, rows, gone }: RunsUpdate): void {
    const moving = this.moving();
    const there = new Set(rows.map(row => row.id));
    const moved = full ? moving.size > 0 : [...gone, ...there].some(id => moving.has(id));
    if (moved && this.calm === undefined) {
      this.calm = setTimeout(() => {
        this.calm = undefined;
        void this.load();
      }, Math.max(0, this.readAt + CALM - performance.now()));
    }
  }

  private async load(): Promise<void> {
    const current = this.latest.begin();
    const moving = this.moving();
    this.readAt = performance.now();
    try {
      const found = await this.server.ask<Comparison>('GET', 'api/compare', { runs: this.runs.join(',') });
      if (!current()) {
        return;
      }
      this.found = found;
      this.state.done();
      show(this.content, true);
      this.legends(found.runs);
      this.table.draw(found);
      this.arrange(found, moving);
      this.looked();
    } catch (error) {
      if (current()) {
        this.state.failed(error, () => void this.load());
      }
    }
  }

  /** The number of a run's colour. */
  private colour(run: string): number {
    return Math.max(0, this.runs.indexOf(run)) % COLOURS;
  }

  private legends(runs: readonly RunRow[]): void {
    const items = runs.map(run => {
      const press = h('button', { type: 'button', class: 'swatch', 'data-run-colour': this.colour(run.id), 'aria-pressed': String(!this.hidden.has(run.id)) });
      put(press, 'aria-label', t('Show the curves of {name}', { name: run.name }));
      put(press, 'data-dashed', this.runs.indexOf(run.id) >= COLOURS);
      on(press, 'click', () => {
        this.hidden[this.hidden.has(run.id) ? 'delete' : 'add'](run.id);
        put(press, 'aria-pressed', String(!this.hidden.has(run.id)));
        this.charts.forEach(chart => chart.stale());
        this.frames.request();
      }, this.end.signal);
      const away = button(t('Take {name} out', { name: run.name }), 'close');
      on(away, 'click', () => this.host.chose(this.runs.filter(id => id !== run.id)), this.end.signal);
      return h('li', {}, press, this.host.link(run), away);
    });
    this.legend.replaceChildren(...items);
  }

  /** *moved*: runs whose points may be others now. */
  private arrange(found: Comparison, moved: ReadonlySet<string> = new Set()): void {
    const wanted = this.filter.value.trim().toLowerCase();
    const names = found.metrics.filter(name => name.toLowerCase().includes(wanted));
    const drawn = new Set(names.slice(0, MOST_CHARTS));
    for (const [name, chart] of this.charts) {
      if (!drawn.has(name)) {
        this.sight.unobserve(chart.element);
        chart.element.remove();
        chart.lines.end();
        this.charts.delete(name);
      }
    }
    for (const name of drawn) {
      let chart = this.charts.get(name);
      if (!chart) {
        chart = new Overlay(name, () => this.theme.palette(), this.group);
        this.charts.set(name, chart);
        this.sight.observe(chart.element);
      }
      this.grid.append(chart.element);
      chart.stale(moved);
    }
    const more = names.length - drawn.size;
    const none = found.runs.length > 1 ? t('No metric is in two of these runs.') : t('This run logged no metrics.');
    say(this.noCharts, found.metrics.length ? (more > 0 ? plural(more, 'One more metric is not drawn: filter by name.', '{n} more metrics are not drawn: filter by name.') : names.length ? '' : t('No metric has this in its name.')) : none);
    show(this.noCharts, this.noCharts.textContent !== '');
    show(this.tools, found.metrics.length > 0);
    this.frames.request();
  }

  private inSight(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const chart = [...this.charts.values()].find(one => one.element === entry.target);
      if (chart) {
        chart.visible = entry.isIntersecting;
      }
    }
    this.frames.request();
  }

  private draw(): void {
    const runs = this.found?.runs.filter(run => !this.hidden.has(run.id)) ?? [];
    const style = getComputedStyle(this.element);
    for (const chart of this.charts.values()) {
      if (chart.visible) {
        const colour = (run: string): string => style.getPropertyValue(`--mlr-run-${this.colour(run)}`).trim();
        const dashed = (run: string): boolean => this.runs.indexOf(run) >= COLOURS;
        void chart.draw(this.server, this.having(chart.name, runs), { ...this.look }, run => ({ colour: colour(run), dashed: dashed(run) }));
      }
    }
  }

  /** Those of *runs* that logged this metric. */
  private having(metric: string, runs: readonly RunRow[]): RunRow[] {
    const row = this.found?.rows.find(one => one.section === 'metrics' && one.name === metric);
    const ids = this.found?.runs.map(({ id }) => id) ?? [];
    return runs.filter(run => !row || row.values[ids.indexOf(run.id)] !== null);
  }

  private toolbar(signal: AbortSignal): void {
    const again = (): void => {
      this.charts.forEach(chart => chart.stale());
      this.frames.request();
    };
    const axes = h('div', { class: 'segments', role: 'group', 'aria-label': t('Horizontal axis') });
    const choices = [['step', t('Step')], ['time', t('Time')]] as const;
    const buttons = choices.map(([axis, label]) => {
      const press = button(label, null, true);
      put(press, 'aria-pressed', String(axis === this.look.axis));
      on(press, 'click', () => {
        this.look.axis = axis;
        buttons.forEach((other, i) => put(other, 'aria-pressed', String(choices[i]?.[0] === axis)));
        again();
      }, signal);
      return press;
    });
    axes.append(...buttons);
    const log = button(t('Log scale'), null, true);
    put(log, 'aria-pressed', 'false');
    on(log, 'click', () => {
      this.look.logarithmic = !this.look.logarithmic;
      put(log, 'aria-pressed', String(this.look.logarithmic));
      again();
    }, signal);
    const slider = h('input', { type: 'range', min: 0, max: 0.99, step: 0.01, value: 0, 'aria-label': t('Smoothing: weight of the moving average') });
    const shown = h('output', {}, '0');
    on(slider, 'input', () => {
      this.look.smoothing = Number(slider.value);
      say(shown, this.look.smoothing ? this.look.smoothing.toFixed(2) : '0');
      again();
    }, signal);
    on(this.filter, 'input', () => this.found && this.arrange(this.found), signal);
    this.tools.append(axes, log, h('label', { class: 'smoothing' }, h('span', {}, t('Smoothing')), slider, shown), h('span', { class: 'space' }), this.filter);
  }
}

/** One metric of all runs. */
class Overlay {
  readonly element: HTMLElement;
  readonly lines: Lines;
  visible = false;
  private readonly at = h('span', { class: 'at' });
  private readonly values = h('div', { class: 'overlay-values' });
  private readonly place = h('div', { class: 'line-plot', tabindex: 0, role: 'group', 'aria-roledescription': t('chart') });
  private readonly state = new State();
  private readonly latest = new Latest();
  private readonly kept = new Map<string, Columns>();
  private fresh = false;
  private names: { label: string; colour: string }[] = [];
  private axis: Look['axis'] = 'step';

  constructor(
    readonly name: string,
    palette: ConstructorParameters<typeof Lines>[1],
    group: string
  ) {
    const title = h('h4', { class: 'metric', title: name }, name || t('(no name)'));
    this.element = h('article', { class: 'card', 'data-form': 'chart' }, h('div', { class: 'top' }, title, this.at), this.place, this.state.element, this.values);
    put(this.place, 'aria-label', t('{name} of all runs. Arrow keys move, Escape shows all.', { name }));
    this.lines = new Lines(this.place, palette, (x, found) => this.point(x, found), group);
    keys(this.place, this.lines);
  }

  /** Draw it anew; *moved*: runs whose points may be others now. */
  stale(moved: ReadonlySet<string> = new Set()): void {
    this.fresh = false;
    for (const run of moved) {
      this.asked.delete(`${run} step`);
      this.asked.delete(`${run} time`);
    }
  }

  private readonly asked = new Set<string>();

  async draw(server: Server, runs: readonly RunRow[], look: Look, dress: (run: string) => Pick<Drawn, 'colour' | 'dashed'>): Promise<void> {
    if (this.fresh) {
      return;
    }
    this.fresh = true;
    const current = this.latest.begin();
    try {
      await Promise.all(runs.map(async run => {
        const key = `${run.id} ${look.axis}`;
        if (!this.asked.has(key)) {
          this.asked.add(key);
          const found = await this.ask(server, run.id, look.axis);
          if (found) {
            this.kept.set(key, found);
          }
        }
      }));
    } catch (error) {
      this.asked.clear();
      if (current()) {
        this.state.failed(error);
      }
      return;
    }
    if (!current()) {
      this.fresh = false;
      return;
    }
    this.state.done();
    this.axis = look.axis;
    const drawn = runs.flatMap(run => {
      const columns = this.kept.get(`${run.id} ${look.axis}`);
      return columns ? [{ run, line: { ...lineOf(columns, look, run.started ?? run.created), ...dress(run.id) } }] : [];
    });
    // a single value, or a text, is in the table below: there is no curve of it
    const curves = drawn.some(({ line }) => line.x.length > 1);
    show(this.element, curves);
    if (!curves) {
      this.lines.end();
      return;
    }
    this.names = drawn.map(({ run, line }) => ({ label: run.name, colour: line.colour }));
    this.lines.draw(drawn.map(({ line }) => line), look);
    this.point(null, []);
  }

  /** A run that does not have this metric is no failure. */
  private async ask(server: Server, run: string, axis: Look['axis']): Promise<Columns | null> {
    try {
      return await server.ask<Columns>('GET', runPath(run, 'metrics'), { name: this.name, x: axis, buckets: BUCKETS });
    } catch (error) {
      if ((error as { status?: number }).status === 404) {
        return null;
      }
      throw error;
    }
  }

  private point(x: number | null, found: (number | null)[]): void {
    say(this.at, x === null ? '' : this.axis === 'step' ? t('step {n}', { n: number(x) }) : t('after {time}', { time: span(x) }));
    show(this.values, x !== null);
    if (x === null) {
      return;
    }
    this.values.replaceChildren(
      ...this.names.map(({ label, colour }, i) => {
        const dot = h('i', { 'aria-hidden': 'true' });
        dot.style.background = colour;
        const value = found[i];
        return h('span', { title: label }, dot, h('span', { class: 'run-name' }, label), h('b', {}, value === null || value === undefined ? '–' : number(value)));
      })
    );
  }
}

const TITLES: Record<Section, () => string> = {
  run: () => t('Run'),
  parameters: () => t('Parameters'),
  metrics: () => t('Metrics'),
  tags: () => t('Tags'),
  environment: () => t('Environment'),
  inputs: () => t('Inputs'),
  resources: () => t('Resources'),
  code: () => t('Code'),
  git: () => t('Git')
};

/** The rows of a comparison that are shown. */
export function chosenRows(rows: readonly CompareRow[], only: boolean): CompareRow[] {
  return only ? rows.filter(row => row.differs) : [...rows];
}

class DifferenceTable {
  readonly element = h('section', { class: 'differences', 'aria-label': t('Differences') });
  private readonly only = h('input', { type: 'checkbox' });
  private readonly count = h('span', { class: 'more', role: 'status' });
  private readonly grid = h('table', { class: 'compare' });
  private found: Comparison | null = null;
  private key = '';

  constructor(
    private readonly host: CompareHost,
    private readonly colour: (run: string) => number,
    signal: AbortSignal
  ) {
    const toggle = h('label', { class: 'toggle' }, this.only, h('span', {}, t('Only differences')));
    this.element.append(h('div', { class: 'tools' }, h('h2', {}, t('Differences')), toggle, this.count), h('div', { class: 'table-scroll', tabindex: 0, role: 'region', 'aria-label': t('Table of differences') }, this.grid));
    on(this.only, 'change', () => {
      this.key = '';
      if (this.found) {
        this.draw(this.found);
      }
    }, signal);
  }

  draw(found: Comparison): void {
    this.found = found;
    show(this.only.parentElement as HTMLElement, found.runs.length > 1);
    const key = JSON.stringify([found.rows, found.runs.map(run => [run.id, run.name, run.shown])]);
    if (key === this.key) {
      return;
    }
    this.key = key;
    const heads = found.runs.map(run =>
      h('th', { scope: 'col' }, h('span', { class: 'dot', 'data-run-colour': this.colour(run.id) }), this.host.link(run), status(run))
    );
    const body = chosenRows(found.rows, this.only.checked && found.runs.length > 1);
    const differing = found.rows.filter(row => row.differs).length;
    say(this.count, found.runs.length > 1 ? t('{n} of {all} differ', { n: differing, all: found.rows.length }) : '');
    const groups = [...new Set(body.map(row => row.section))].map(section =>
      h(
        'tbody',
        {},
        h('tr', { class: 'section' }, h('th', { scope: 'rowgroup', colspan: found.runs.length + 1 }, h('span', {}, TITLES[section]()))),
        ...body.filter(row => row.section === section).map(row => rowOf(row, found.runs.length > 1))
      )
    );
    this.grid.replaceChildren(h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('Name')), ...heads)), ...groups);
  }
}

function rowOf(row: CompareRow, several: boolean): HTMLElement {
  const differs = several && row.differs;
  const mark = differs ? h('span', { class: 'differs', title: t('differs'), 'aria-label': t('differs') }, '≠') : '';
  const cells = row.values.map(value => h('td', { 'data-none': value === null }, value ?? '–'));
  return h('tr', { 'data-differs': differs }, h('th', { scope: 'row' }, h('span', {}, row.name), mark), ...cells);
}
