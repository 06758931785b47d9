// The runs that a run started.

import type { Children as Answer, RunRow } from '../api.js';
import { h, say, show } from '../view/dom.js';
import { t, whole } from '../view/words.js';
import { RunTable } from './runtable.js';
import { runPath, type Server } from './server.js';
import { Latest, State } from './state.js';

export class Children {
  readonly element = h('div', { class: 'children' });
  private readonly state = new State();
  private readonly note = h('p', { class: 'note' });
  private readonly table: RunTable;
  private readonly latest = new Latest();
  private loaded = false;

  constructor(
    private readonly server: Server,
    private readonly run: string,
    link: (run: RunRow) => Node,
    private readonly now: () => number,
    signal: AbortSignal
  ) {
    this.table = new RunTable({ columns: ['name', 'status', 'metric', 'elapsed', 'created'], link, label: t('Child runs') }, signal);
    this.element.append(this.state.element, this.table.element, this.note);
    show(this.table.element, false);
  }

  async load(): Promise<void> {
    const current = this.latest.begin();
    if (!this.loaded) {
      this.state.loading();
    }
    try {
      const { runs, total } = await this.server.ask<Answer>('GET', runPath(this.run, 'children'));
      if (!current()) {
        return;
      }
      this.loaded = true;
      this.table.draw(runs, this.now());
      show(this.table.element, runs.length > 0);
      show(this.note, total > runs.length);
      say(this.note, t('The newest {n} of {total} are shown.', { n: whole(runs.length), total: whole(total) }));
      runs.length ? this.state.done() : this.state.empty(t('This run started no other runs.'));
    } catch (error) {
      if (current()) {
        this.state.failed(error, () => void this.load());
      }
    }
  }
}
