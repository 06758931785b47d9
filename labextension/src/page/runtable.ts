// A table of runs: what each is, how it goes, and where to read more; some can be chosen.

import type { Primary, RunRow } from '../api.js';
import { sparkPath } from '../panel/spark.js';
import { h, icon, on, put, say } from '../view/dom.js';
import { look } from '../view/header.js';
import { clock, moment, spoken, t } from '../view/words.js';

export type Column = 'name' | 'status' | 'experiment' | 'metric' | 'elapsed' | 'created' | 'target';
export const SORTED: readonly Column[] = ['name', 'status', 'experiment', 'elapsed', 'created'];

export interface RunTableOptions {
  columns: readonly Column[];
  /** an element that opens a run */
  link(run: RunRow): Node;
  /** the runs that are chosen changed; without it, none can be */
  chose?: (runs: ReadonlySet<string>) => void;
  /** a head that was pressed: sort by it; without it, heads are words */
  sort?: (column: Column) => void;
  label: string;
}

interface Row {
  element: HTMLElement;
  run: RunRow;
  key: string;
}

const HEADS: Record<Column, () => string> = {
  name: () => t('Run'),
  status: () => t('Status'),
  experiment: () => t('Experiment'),
  metric: () => t('Metric'),
  elapsed: () => t('Time'),
  created: () => t('Created'),
  target: () => t('Compute')
};

export class RunTable {
  readonly element: HTMLElement;
  private readonly head = h('thead');
  private readonly body = h('tbody');
  private readonly rows = new Map<string, Row>();
  private readonly chosen = new Set<string>();
  private readonly all = h('input', { type: 'checkbox', 'aria-label': t('Choose all runs that are shown') });

  constructor(
    private readonly options: RunTableOptions,
    private readonly signal: AbortSignal
  ) {
    const grid = h('table', { class: 'runs', 'aria-label': options.label }, this.head, this.body);
    this.element = h('div', { class: 'table-scroll' }, grid);
    on(this.all, 'change', () => {
      this.chosen.clear();
      if (this.all.checked) {
        this.rows.forEach((_, id) => this.chosen.add(id));
      }
      this.marks();
      this.options.chose?.(this.chosen);
    }, signal);
    this.heads('', false);
  }

  /** Show *runs* in this order; *now*: the server's clock. */
  draw(runs: readonly RunRow[], now: number): void {
    const there = new Set(runs.map(({ id }) => id));
    const before = this.chosen.size;
    for (const [id, row] of this.rows) {
      if (!there.has(id)) {
        row.element.remove();
        this.rows.delete(id);
        this.chosen.delete(id);
      }
    }
    runs.forEach((run, i) => {
      const element = this.row(run, now);
      if (this.body.children[i] !== element) {
        this.body.insertBefore(element, this.body.children[i] ?? null);
      }
    });
    this.marks();
    if (before !== this.chosen.size) {
      this.options.chose?.(this.chosen);
    }
  }

  /** Say by what it is sorted. */
  heads(by: string, down: boolean): void {
    const { columns, sort, chose } = this.options;
    const cells = columns.map(column => {
      const able = sort && SORTED.includes(column);
      const label = HEADS[column]();
      const arrow = column === by ? (down ? ' ↓' : ' ↑') : '';
      const press = able ? h('button', { type: 'button', class: 'link' }, label, h('span', { 'aria-hidden': 'true' }, arrow)) : null;
      press?.addEventListener('click', () => sort?.(column), { signal: this.signal });
      const order = column === by ? (down ? 'descending' : 'ascending') : null;
      return h('th', { scope: 'col', class: `col-${column}`, 'aria-sort': order }, press ?? label);
    });
    const first = chose ? [h('th', { scope: 'col', class: 'pick' }, this.all)] : [];
    this.head.replaceChildren(h('tr', {}, ...first, ...cells));
  }

  clear(): void {
    this.chosen.clear();
    this.marks();
    this.options.chose?.(this.chosen);
  }

  private row(run: RunRow, now: number): HTMLElement {
    const elapsed = run.started === null ? null : Math.max(0, (run.ended ?? now) - run.started);
    const time = elapsed === null ? '' : clock(elapsed);
    const key = JSON.stringify([run.name, run.shown, run.reason, run.waiting, run.primary, run.progress, run.experiment, run.target]);
    let row = this.rows.get(run.id);
    if (row?.key === key) {
      const cell = row.element.querySelector('.col-elapsed');
      if (cell) {
        say(cell, time);
      }
      return row.element;
    }
    const cells: Record<Column, () => (Node | string | null)[]> = {
      name: () => [this.options.link(run), run.name === run.id ? null : h('span', { class: 'more' }, run.id)],
      status: () => [status(run)],
      experiment: () => [run.experiment],
      metric: () => [metric(run.primary)],
      elapsed: () => [time],
      created: () => [moment(run.created)],
      target: () => [run.target]
    };
    const made = this.options.columns.map(column =>
      column === 'name'
        ? h('th', { scope: 'row', class: 'col-name' }, ...cells.name())
        : h('td', { class: `col-${column}` }, ...cells[column]())
    );
    const element = row?.element ?? h('tr');
    element.replaceChildren(...(this.options.chose ? [this.pick(run)] : []), ...made);
    row = { element, run, key };
    this.rows.set(run.id, row);
    return element;
  }

  private pick(run: RunRow): HTMLElement {
    const box = h('input', { type: 'checkbox', 'aria-label': t('Choose {name}', { name: run.name }) });
    box.checked = this.chosen.has(run.id);
    on(box, 'change', () => {
      this.chosen[box.checked ? 'add' : 'delete'](run.id);
      this.marks();
      this.options.chose?.(this.chosen);
    }, this.signal);
    return h('td', { class: 'pick' }, box);
  }

  private marks(): void {
    for (const [id, { element }] of this.rows) {
      const on = this.chosen.has(id);
      put(element, 'data-chosen', on);
      const box = element.querySelector<HTMLInputElement>('.pick input');
      if (box) {
        box.checked = on;
      }
    }
    this.all.checked = this.rows.size > 0 && this.chosen.size === this.rows.size;
    this.all.indeterminate = this.chosen.size > 0 && !this.all.checked;
  }
}

/** Status with its picture, and why. */
export function status(run: Pick<RunRow, 'shown' | 'reason' | 'waiting' | 'progress' | 'over'>): HTMLElement {
  const [picture, colour] = look(run.shown);
  const why = run.over ? (run.shown === 'Completed' ? null : run.reason) : (run.waiting ?? run.progress);
  const word = h('span', { class: 'status', 'data-look': colour }, icon(picture), h('span', {}, spoken(run.shown)));
  return h('div', { class: 'status-cell', title: why }, word, why ? h('span', { class: 'more' }, why) : '');
}

function metric(primary: Primary | null): Node | string {
  if (!primary) {
    return '';
  }
  const words = h('span', { class: 'primary-metric' }, h('span', { class: 'more' }, primary.name), h('b', {}, primary.last));
  return primary.spark && primary.spark.length > 1 ? h('div', { class: 'with-spark' }, spark(primary.spark), words) : words;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A curve without axes; gaps stay gaps. */
function spark(values: readonly (number | null)[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  for (const [name, value] of [['viewBox', '0 0 60 20'], ['class', 'run-spark'], ['aria-hidden', 'true']]) {
    svg.setAttribute(name as string, value as string);
  }
  path.setAttribute('d', sparkPath(values, 60, 14));
  path.setAttribute('transform', 'translate(0 3)');
  svg.append(path);
  return svg;
}
