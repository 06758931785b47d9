// The code that a run got: its files, and what differs from the code of another run.

import type { Diff, RunList, RunRow } from '../api.js';
import { button, h, on, put, show } from '../view/dom.js';
import { moment, t } from '../view/words.js';
import { diffView } from './diffview.js';
import { Files } from './files.js';
import { Latest, State } from './state.js';
import type { Server } from './server.js';

const DIFF = 'diff:';
const CHOICES = 100;

export class Code {
  readonly element = h('div', { class: 'code-tab' });
  private readonly files: Files;
  private readonly other = h('select', { class: 'field', 'aria-label': t('Show what differs from') });
  private readonly close = button(t('Show files'), null, true);
  private readonly state = new State();
  private readonly place = h('div', { class: 'diff-place' });
  private readonly latest = new Latest();
  private readonly diffLatest = new Latest();
  private diff = '';

  constructor(
    private readonly server: Server,
    private readonly run: string,
    private readonly moved: (rest: string) => void,
    signal: AbortSignal
  ) {
    const words = { label: t('Files of the code'), none: t('The snapshot has no files.') };
    this.files = new Files(server, run, 'code', words, path => this.moved(path), signal);
    const choose = h('label', { class: 'choose' }, h('span', {}, t('Differences from')), this.other);
    const tools = h('div', { class: 'tools' }, choose, this.close);
    this.element.append(tools, this.state.element, this.place, this.files.element);
    this.choices([], '');
    this.state.done();
    on(this.other, 'change', () => {
      const rest = this.other.value ? `${DIFF}${this.other.value}` : '';
      this.moved(rest);
      void this.show(rest);
    }, signal);
    on(this.close, 'click', () => {
      this.moved('');
      void this.show('');
    }, signal);
  }

  /** Show a file (`path:line`), or `diff:RUN`. */
  async show(rest: string): Promise<void> {
    this.diff = rest.startsWith(DIFF) ? rest.slice(DIFF.length) : '';
    show(this.files.element, !this.diff);
    show(this.close, this.diff !== '');
    show(this.place, this.diff !== '');
    void this.runs();
    if (this.diff) {
      await this.compare(this.diff);
    } else {
      this.diffLatest.begin();
      this.state.done();
      await this.files.load(rest);
    }
  }

  private async compare(other: string): Promise<void> {
    const current = this.diffLatest.begin();
    this.place.replaceChildren();
    this.state.loading();
    try {
      const diff = await this.server.ask<Diff>('GET', 'api/diff', { a: other, b: this.run });
      if (current()) {
        this.state.done();
        this.place.replaceChildren(diffView(diff));
      }
    } catch (error) {
      if (current()) {
        this.state.failed(error, () => void this.compare(other));
      }
    }
  }

  /** The runs that can be chosen: the newest of the same experiment first. */
  private async runs(): Promise<void> {
    const current = this.latest.begin();
    try {
      const [row] = await Promise.all([this.server.ask<RunRow>('GET', `api/runs/${encodeURIComponent(this.run)}`)]);
      const query = { experiment: row.experiment, sort: '-created', limit: CHOICES };
      const { runs } = await this.server.ask<RunList>('GET', 'api/runs', query);
      if (current()) {
        this.choices(runs.filter(({ id }) => id !== this.run), row.parent ?? '');
      }
    } catch (error) {
      // the choice is an offer: what is wrong with the server is said where something was asked for
      console.debug('jupyter_mlrun: no runs to choose from', error);
    }
  }

  private choices(runs: readonly RunRow[], parent: string): void {
    const known = new Set(runs.map(({ id }) => id));
    const more = [this.diff, parent].filter(id => id && !known.has(id)).map(id => [id, id] as const);
    const names = runs.map(run => [run.id, `${run.name} · ${run.shown} · ${moment(run.created)}`] as const);
    const options = [['', t('– another run –')] as const, ...more, ...names];
    this.other.replaceChildren(...options.map(([value, label]) => h('option', { value }, label)));
    this.other.value = this.diff;
    put(this.other, 'disabled', options.length === 1);
  }
}
