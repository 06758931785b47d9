// All runs of a workspace in a table: found by words, by status and by experiment, sorted, and some of them chosen.

import type { ManyDone, RunList, RunQuery, RunRow } from '../api.js';
import { button, h, on, put, say, show } from '../view/dom.js';
import { plural, spoken, t, whole } from '../view/words.js';
import { ask } from './dialog.js';
import { RunTable, type Column } from './runtable.js';
import type { Server } from './server.js';
import { State } from './state.js';

const PAGE = 100;
/** Milliseconds after the last key before it is searched. */
const CALM = 200;
const COLUMNS: readonly Column[] = ['name', 'status', 'experiment', 'metric', 'elapsed', 'created', 'target'];

export interface ListHost {
  address(run: string): string;
  compare(runs: string[]): void;
}

export class ListView {
  readonly element = h('div', { class: 'mlr-live mlr-page mlr-list', 'data-tab': 'page', role: 'region', 'aria-label': t('Runs') });
  private readonly end = new AbortController();
  private readonly state = new State();
  private readonly table: RunTable;
  private readonly text = h('input', { type: 'search', class: 'field wide', placeholder: t('Find runs'), 'aria-label': t('Find runs by words in names, parameters and tags') });
  private readonly status = h('select', { class: 'field', 'aria-label': t('Status') });
  private readonly experiment = h('select', { class: 'field', 'aria-label': t('Experiment') });
  private readonly count = h('span', { class: 'more', role: 'status' });
  private readonly back = button(t('Newer'), null, true);
  private readonly on = button(t('Older'), null, true);
  private readonly body = h('div', { class: 'page-body' });
  private readonly pages = h('nav', { class: 'pages', 'aria-label': t('Pages of the list') });
  private readonly chosen = h('div', { class: 'chosen', role: 'toolbar', 'aria-label': t('What can be done to the chosen runs') });
  private readonly chosenCount = h('span');
  private readonly wrong = h('span', { class: 'wrong', role: 'alert', 'data-look': 'bad' });
  private readonly query: RunQuery & { offset: number; sort: string } = { sort: '-created', offset: 0, limit: PAGE };
  private readonly rows = new Map<string, RunRow>();
  private order: string[] = [];
  private picked: readonly string[] = [];
  private leave: (() => void) | null = null;
  private calm: ReturnType<typeof setTimeout> | undefined;
  private ticking: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly server: Server,
    private readonly host: ListHost
  ) {
    const { signal } = this.end;
    const link = (run: RunRow): Node => h('a', { href: host.address(run.id), class: 'run-link' }, run.name);
    this.table = new RunTable({ columns: COLUMNS, link, label: t('Runs'), sort: column => this.sort(column), chose: runs => this.chose(runs) }, signal);
    this.table.heads('created', true);
    const tools = h('div', { class: 'tools', role: 'search' }, this.text, this.status, this.experiment, this.count);
    this.pages.append(this.back, this.on);
    this.body.append(this.table.element, this.pages);
    this.acts(signal);
    this.element.append(h('header', { class: 'head' }, h('h1', {}, t('Runs')), tools), this.chosen, this.state.element, this.body);
    show(this.body, false);
    show(this.chosen, false);
    on(this.text, 'input', () => {
      clearTimeout(this.calm);
      this.calm = setTimeout(() => this.narrow({ text: this.text.value.trim() }), CALM);
    }, signal);
    on(this.status, 'change', () => this.narrow({ status: this.status.value }), signal);
    on(this.experiment, 'change', () => this.narrow({ experiment: this.experiment.value }), signal);
    on(this.back, 'click', () => this.page(-1), signal);
    on(this.on, 'click', () => this.page(1), signal);
    this.state.loading();
    this.ticking = setInterval(() => this.draw(), 1000);
    this.watch();
  }

  dispose(): void {
    this.end.abort();
    this.leave?.();
    clearTimeout(this.calm);
    clearInterval(this.ticking);
    this.element.remove();
  }

  private narrow(more: RunQuery): void {
    Object.assign(this.query, more, { offset: 0 });
    this.watch();
  }

  private page(by: number): void {
    this.query.offset = Math.max(0, this.query.offset + by * PAGE);
    this.watch();
    this.body.scrollTop = 0;
  }

  private sort(column: Column): void {
    const { sort } = this.query;
    const down = sort === `-${column}`;
    // what is newest or longest is looked for first, names from A on
    const first = column === 'created' || column === 'elapsed';
    const now = sort.replace('-', '') === column ? !down : first;
    this.query.sort = `${now ? '-' : ''}${column}`;
    this.table.heads(column, now);
    this.narrow({});
  }

  /** Follow the list that is asked for: the server tells what changes. */
  private watch(): void {
    this.leave?.();
    const query = Object.fromEntries(Object.entries(this.query).filter(([, value]) => value !== '')) as RunQuery;
    let first = true;
    this.leave = this.server.list(query, update => {
      if (update.full) {
        this.rows.clear();
      }
      update.rows.forEach(row => this.rows.set(row.id, row));
      update.gone.forEach(id => this.rows.delete(id));
      this.order = update.order ?? this.order;
      this.tell(update);
      first = false;
    });
    // the live channel may take its time, or be closed by a proxy
    this.server.ask<RunList>('GET', 'api/runs', { ...query }).then(
      found => {
        if (first && !this.end.signal.aborted) {
          this.rows.clear();
          found.runs.forEach(row => this.rows.set(row.id, row));
          this.order = found.runs.map(({ id }) => id);
          this.tell(found);
        }
      },
      (error: unknown) => first && this.state.failed(error, () => (this.state.loading(), this.watch()))
    );
  }

  private tell(found: Pick<RunList, 'total' | 'counts' | 'experiments'>): void {
    const { total } = found;
    const narrowed = Boolean(this.query.text || this.query.status || this.query.experiment);
    show(this.body, total > 0);
    if (total > 0) {
      this.state.done();
    } else {
      this.state.empty(narrowed ? t('No run is like this.') : t('No runs yet: submit a cell with {magic}, or a script with “jupyter mlrun submit SCRIPT.py”.', { magic: '%%submit' }));
    }
    say(this.count, total ? plural(total, 'One run', '{n} runs') : '');
    choices(this.status, t('Every status'), Object.entries(found.counts).map(([name, n]) => [name, `${spoken(name)} (${whole(n)})`]), this.query.status ?? '');
    choices(this.experiment, t('Every experiment'), found.experiments.map(one => [one.name, `${one.name} (${whole(one.runs)})`]), this.query.experiment ?? '');
    const last = Math.min(total, this.query.offset + PAGE);
    show(this.pages, total > PAGE);
    put(this.back, 'disabled', this.query.offset === 0);
    put(this.on, 'disabled', last >= total);
    this.draw();
  }

  private draw(): void {
    const rows = this.order.map(id => this.rows.get(id)).filter((row): row is RunRow => row !== undefined);
    this.table.draw(rows, Date.now() / 1000);
  }

  // ---- what is done to some of them ------------------------------------------------------------------------

  private chose(runs: ReadonlySet<string>): void {
    this.picked = this.order.filter(id => runs.has(id));
    show(this.chosen, this.picked.length > 0);
    say(this.chosenCount, plural(this.picked.length, 'One run is chosen', '{n} runs are chosen'));
    say(this.wrong, '');
  }

  private acts(signal: AbortSignal): void {
    const [compare, stop, away, none] = [button(t('Compare'), null, true), button(t('Stop'), 'stop', true), button(t('Delete…'), null, true), button(t('Choose none'), null, true)];
    on(compare, 'click', () => this.host.compare([...this.picked]), signal);
    on(stop, 'click', () => this.many(t('Stop {n} runs?', { n: this.picked.length }), t('Stop'), 'stop'), signal);
    on(away, 'click', () => this.many(t('Delete {n} runs?', { n: this.picked.length }), t('Delete'), 'delete'), signal);
    on(none, 'click', () => this.table.clear(), signal);
    this.chosen.append(this.chosenCount, compare, stop, away, none, this.wrong);
  }

  private many(title: string, yes: string, what: 'stop' | 'delete'): void {
    const runs = [...this.picked];
    const names = runs.slice(0, 5).map(id => this.rows.get(id)?.name ?? id).join(', ');
    ask(this.element, {
      title,
      text: runs.length > 5 ? t('{names} and {n} more.', { names, n: runs.length - 5 }) : names,
      yes,
      danger: true,
      work: async () => {
        const done = await this.server.ask<ManyDone>('POST', `api/runs/${what}`, {}, { runs });
        const failed = done.runs.filter(one => one.error !== null);
        this.table.clear();
        say(this.wrong, failed.map(one => `${one.id}: ${one.error?.message ?? ''}`).slice(0, 3).join(' · '));
        show(this.chosen, failed.length > 0);
        say(this.chosenCount, failed.length ? plural(failed.length, 'One was not done:', '{n} were not done:') : '');
      }
    }, this.end.signal);
  }
}

function choices(select: HTMLSelectElement, all: string, found: readonly (readonly [string, string])[], chosen: string): void {
  const options = [['', all] as const, ...found];
  if (chosen && !found.some(([value]) => value === chosen)) {
    options.push([chosen, chosen]);
  }
  const key = JSON.stringify(options);
  if (select.dataset['key'] !== key) {
    select.dataset['key'] = key;
    select.replaceChildren(...options.map(([value, label]) => h('option', { value }, label)));
  }
  select.value = chosen;
}

