// The logs of a run: a tab for each rank, and the log pane of the live view.

import { h, show } from '../view/dom.js';
import { LogPane } from '../view/logpane.js';
import { Tabs } from '../view/tabs.js';
import { t } from '../view/words.js';
import type { Feed } from './feed.js';

/** With more ranks than these, one chooses from a list: the pane's own. */
const MOST_TABS = 16;

export class Logs {
  readonly element = h('div', { class: 'logs' });
  private readonly pane: LogPane;
  private readonly place = h('div', { class: 'log-place' });
  private tabs: Tabs<string> | null = null;
  private names: readonly string[] = [];

  constructor(
    private readonly feed: Feed,
    changed: () => void,
    private readonly chose: (rank: number) => void,
    private readonly signal: AbortSignal
  ) {
    this.pane = new LogPane(feed.store, feed.asking, changed, rank => this.another(rank), signal);
    this.place.append(this.pane.element);
    this.element.append(this.place);
  }

  /** The log of rank *rest*, a number. */
  open(rest: string): void {
    const rank = /^\d{1,6}$/.test(rest) ? Number(rest) : 0;
    if (rank !== this.rank) {
      this.rank = rank;
      this.pane.clear();
      this.feed.log(rank);
    }
  }

  private rank = 0;

  draw(): void {
    const names = this.feed.store.run?.logs ?? [];
    const few = names.length > 1 && names.length <= MOST_TABS;
    if (few && names.join('\n') !== this.names.join('\n')) {
      this.names = [...names];
      this.tabs?.element.remove();
      const tabs = names.map((name, i) => ({ name: String(i), label: t('Rank {n}', { n: i }), title: name }));
      this.tabs = new Tabs(tabs, this.place, t('Rank whose log is shown'), name => {
        if (Number(name) !== this.rank) {
          this.open(name);
          this.chose(Number(name));
        }
      }, this.signal);
      this.element.prepend(this.tabs.element);
    }
    if (this.tabs) {
      show(this.tabs.element, few);
      if (this.tabs.current !== String(this.rank) && this.rank < names.length) {
        this.tabs.choose(String(this.rank));
      }
    }
    this.element.toggleAttribute('data-tabs', few);
    this.pane.draw();
  }

  private another(rank: number): void {
    this.rank = rank;
    this.feed.log(rank);
    this.chose(rank);
  }
}
