// The page of one run: its head, what can be done to it, and a tab for each thing that one may want to know.

import type { About, RunFull } from '../api.js';
import { Charts } from '../view/charts.js';
import { button, h, on, put, show } from '../view/dom.js';
import { Frames } from '../view/frames.js';
import { Header } from '../view/header.js';
import { Tabs } from '../view/tabs.js';
import { Theme } from '../view/theme.js';
import { t, whole } from '../view/words.js';
import { rerun, type Stage } from './actions.js';
import { Children } from './children.js';
import { Code } from './code.js';
import { Feed } from './feed.js';
import { Files } from './files.js';
import { runOf } from './head.js';
import { Logs } from './logs.js';
import { Overview } from './overview.js';
import { TABS, type Place, type TabName } from './places.js';
import { problemOf, runPath, type Server } from './server.js';
import { Latest, State } from './state.js';
import { System } from './system.js';
import { Toolbar } from './toolbar.js';

/** Milliseconds in which changes of a run are gathered before it is read again. */
const CALM = 250;

/** Where the page stands: what opens others, and hears of this one. */
export interface Host {
  /** the address of a run's page */
  address(run: string): string;
  /** open a run; without it, links are followed as links */
  open?: (run: string) => void;
  compare(runs: string[]): void;
  /** one is at another place in the page */
  moved(place: Place): void;
  titled(title: string, status: string): void;
  /** the run was deleted */
  gone(): void;
}

export class RunView {
  readonly element = h('div', { class: 'mlr-live mlr-page', 'data-tab': 'page', role: 'region' });
  private readonly end = new AbortController();
  private readonly followed: ReturnType<Server['follow']>;
  private readonly feed: Feed;
  private readonly frames = new Frames(() => this.draw());
  private readonly header: Header;
  private readonly tabs: Tabs<TabName>;
  private readonly body = h('div', { class: 'page-body' });
  private readonly bar = h('div', { class: 'bar' });
  private readonly parts: Record<TabName, HTMLElement>;
  private readonly state = new State();
  private readonly told = h('div', { class: 'told', role: 'status' });
  private readonly theme: Theme;
  private readonly overview: Overview;
  private readonly charts: Charts;
  private readonly logs: Logs;
  private readonly files: Files;
  private readonly code: Code;
  private readonly system: System;
  private readonly children: Children;
  private readonly toolbar: Toolbar;
  private readonly latest = new Latest();
  private place: Place = { tab: 'overview', rest: '' };
  private full: RunFull | null = null;
  private about: About | null = null;
  private shown = false;
  private seen = false;
  private stopping = false;
  private leaving = false;
  private stopFailed: string | null = null;
  private calm: ReturnType<typeof setTimeout> | undefined;
  private ticking: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly server: Server,
    readonly run: string,
    private readonly host: Host,
    place: Place
  ) {
    const { signal } = this.end;
    const changed = (): void => this.frames.request();
    const palette = (): ReturnType<Theme['palette']> => this.theme.palette();
    this.theme = new Theme(this.element, () => this.recolour(), signal);
    this.followed = server.follow(run, () => this.soon());
    this.feed = new Feed(this.followed.source, changed, () => this.soon());
    const { store, asking } = this.feed;
    this.header = new Header(store, () => void this.stop(), signal);
    this.charts = new Charts(store, asking, palette, changed, signal);
    this.logs = new Logs(this.feed, changed, rank => this.went('logs', rank ? String(rank) : ''), signal);
    this.files = new Files(server, run, 'files', { label: t('Files of the run'), none: t('This run has no files yet.') }, path => this.went('files', path), signal);
    this.code = new Code(server, run, rest => this.went('code', rest), signal);
    this.system = new System(server, run, store, palette, signal);
    this.children = new Children(server, run, row => this.link(row.id, row.name), () => store.now(), signal);
    this.overview = new Overview(server, run, this.overviewActions(), signal);
    this.toolbar = new Toolbar(this.stage(), runs => this.host.compare(runs));
    this.parts = this.partsOf();
    this.tabs = this.tabsOf(signal);
    this.assemble(signal);
    this.go(place);
    void this.load();
    void this.ask();
  }

  /** Whether it is shown at all: a page always, a document where its tab is the front one. */
  visible(shown: boolean): void {
    this.shown = shown;
    this.looked();
  }

  /** Go to a place in the page. */
  go(place: Place): void {
    this.place = place;
    if (this.tabs.current !== place.tab) {
      this.tabs.choose(place.tab); // comes back to `enter`
    } else {
      this.enter();
    }
  }

  dispose(): void {
    this.end.abort();
    this.feed.end();
    this.followed.end();
    this.frames.end();
    clearTimeout(this.calm);
    clearInterval(this.ticking);
    this.element.remove();
  }

  // ---- how it is made --------------------------------------------------------------------------------------

  private partsOf(): Record<TabName, HTMLElement> {
    return {
      overview: this.overview.element,
      charts: this.charts.element,
      logs: this.logs.element,
      files: this.files.element,
      code: this.code.element,
      system: this.system.element,
      children: this.children.element
    };
  }

  private tabsOf(signal: AbortSignal): Tabs<TabName> {
    const labels: Record<TabName, string> = {
      overview: t('Overview'),
      charts: t('Charts'),
      logs: t('Logs'),
      files: t('Files'),
      code: t('Code'),
      system: t('System'),
      children: t('Children')
    };
    const tabs = TABS.map(name => ({ name, label: labels[name] }));
    return new Tabs(tabs, this.body, t('What is shown of the run'), name => this.chosen(name), signal);
  }

  private assemble(signal: AbortSignal): void {
    put(this.element, 'aria-label', t('Run {name}', { name: this.run }));
    this.bar.append(this.tabs.element, this.toolbar.element);
    this.body.append(...TABS.map(name => h('div', { class: `part part-${name}`, hidden: true }, this.parts[name])));
    this.element.append(this.header.element, this.told, this.state.element, this.bar, this.body);
    show(this.bar, false);
    show(this.body, false);
    this.state.loading(t('Loading the run …'));
    document.addEventListener('visibilitychange', () => this.looked(), { signal });
    // single keys are commands of pages around this one: what is typed here is not for them
    on(this.element, 'keydown', event => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key !== 'Escape') {
        event.stopPropagation();
      }
    }, signal);
  }

  private stage(): Stage {
    return {
      root: this.element,
      server: this.server,
      signal: this.end.signal,
      tell: (text, run) => this.tell(text, run),
      changed: () => void this.load(),
      leaving: now => this.leave(now),
      gone: () => this.host.gone()
    };
  }

  private leave(now: boolean): void {
    this.leaving = now;
    if (!now) {
      this.soon();
    }
  }

  private overviewActions(): ConstructorParameters<typeof Overview>[2] {
    return {
      link: run => this.link(run, run),
      changed: () => void this.load(),
      code: (path, line) => this.to({ tab: 'code', rest: `${path}:${line}` }),
      logs: () => this.to({ tab: 'logs', rest: '' }),
      rerun: hint => this.full && rerun(this.stage(), this.full, hint)
    };
  }

  private link(run: string, label: string): Node {
    const link = h('a', { href: this.host.address(run), class: 'run-link' }, label);
    const { open } = this.host;
    if (open) {
      on(link, 'click', event => {
        if (!event.ctrlKey && !event.metaKey && !event.shiftKey) {
          event.preventDefault();
          open(run);
        }
      }, this.end.signal);
    }
    return link;
  }

  private tell(text: string, run?: string): void {
    if (!text) {
      this.told.replaceChildren();
      return;
    }
    const away = button(t('Close'), 'close');
    away.addEventListener('click', () => this.told.replaceChildren());
    const words = h('span', {}, text, ...(run ? [' ', this.link(run, run)] : []));
    this.told.replaceChildren(h('div', { class: 'toast' }, words, away));
  }

  // ---- where one is ----------------------------------------------------------------------------------------

  private chosen(tab: TabName): void {
    if (tab !== this.place.tab) {
      this.place = { tab, rest: '' };
      this.host.moved(this.place);
    }
    this.enter();
  }

  /** Somewhere in the same tab. */
  private went(tab: TabName, rest: string): void {
    this.place = { tab, rest };
    this.host.moved(this.place);
  }

  private to(place: Place): void {
    this.go(place);
    this.host.moved(place);
    this.body.scrollTop = 0;
  }

  private enter(): void {
    const { tab, rest } = this.place;
    put(this.element, 'data-page', tab);
    TABS.forEach((name, i) => show(this.body.children[i] as HTMLElement, name === tab));
    if (this.full) {
      this.fill(tab, rest);
    }
    this.frames.request();
  }

  private fill(tab: TabName, rest: string): void {
    const full = this.full as RunFull;
    const work: Partial<Record<TabName, () => unknown>> = {
      logs: () => this.logs.open(rest),
      files: () => this.files.load(rest),
      code: () => this.code.show(rest),
      system: () => this.system.load(full.started ?? full.created, full.over),
      children: () => this.children.load()
    };
    void work[tab]?.();
  }

  // ---- what is known ---------------------------------------------------------------------------------------

  /** Something of the run changed: read it again, once for changes that come together. */
  private soon(): void {
    clearTimeout(this.calm);
    this.calm = setTimeout(() => void this.load(), CALM);
  }

  private async load(): Promise<void> {
    const current = this.latest.begin();
    clearTimeout(this.calm);
    if (this.leaving) {
      return; // of a run that is being deleted nothing is left to ask
    }
    try {
      const full = await this.server.ask<RunFull>('GET', runPath(this.run));
      if (current()) {
        this.take(full);
      }
    } catch (error) {
      if (current()) {
        this.missed(error);
      }
    }
  }

  private take(full: RunFull): void {
    const first = this.full === null;
    const over = this.full !== null && !this.full.over && full.over;
    const children = this.full !== null && this.full.children !== full.children;
    this.full = full;
    const { store } = this.feed;
    if (store.run === null) {
      // the live channel may take its time, or be closed by a proxy
      store.run = runOf(full);
      store.skew = full.now - Date.now() / 1000;
    }
    this.state.done();
    show(this.bar, true);
    show(this.body, true);
    this.overview.draw(full, this.about);
    this.able();
    if (first || over || (children && this.place.tab === 'children')) {
      this.fill(this.place.tab, this.place.rest);
    }
    this.host.titled(full.name, full.shown);
    this.frames.request();
  }

  private missed(error: unknown): void {
    const problem = problemOf(error);
    if (problem.status === 404) {
      this.full = null;
      this.feed.store.run = null;
      show(this.bar, false);
      show(this.body, false);
      this.state.failed(error);
      this.state.element.append(h('p', { class: 'hint' }, t('It may have been deleted, or belong to another home or workspace.')));
    } else if (this.full === null) {
      this.state.failed(error, () => {
        this.state.loading();
        void this.load();
      });
    } else {
      this.tell(problem.message);
    }
    this.frames.request();
  }

  private async ask(): Promise<void> {
    try {
      this.about = await this.server.ask<About>('GET', 'api/about');
      if (this.full) {
        this.overview.draw(this.full, this.about);
      }
      this.able();
    } catch (error) {
      // who may not do a thing is told so by the server when it is tried
      console.debug('jupyter_mlrun: nothing is known of the server', error);
    }
  }

  private able(): void {
    this.toolbar.draw(this.full, this.about);
    put(this.element, 'data-no-stop', this.about?.can_execute === false);
  }

  // ---- what is done ----------------------------------------------------------------------------------------

  private async stop(): Promise<void> {
    this.stopping = true;
    this.stopFailed = null;
    this.frames.request();
    try {
      await this.server.ask('POST', runPath(this.run, 'stop'));
    } catch (error) {
      const { message, hint } = problemOf(error);
      this.stopFailed = hint ? `${message} (${hint})` : message;
      this.stopping = false;
    }
    void this.load();
    this.frames.request();
  }

  // ---- how it is drawn -------------------------------------------------------------------------------------

  private looked(): void {
    const seen = this.shown && document.visibilityState === 'visible';
    if (seen === this.seen) {
      return;
    }
    this.seen = seen;
    this.feed.look(seen);
    if (seen && this.full) {
      this.fill(this.place.tab, this.place.rest);
    }
    this.tick();
    this.frames.request();
  }

  private recolour(): void {
    this.charts?.redraw();
    this.system?.redraw();
    this.frames.request();
  }

  private draw(): void {
    const { store } = this.feed;
    if (!this.seen || !store.run) {
      show(this.header.element, store.run !== null);
      return;
    }
    if (store.run.over) {
      this.stopping = false;
    }
    put(this.element, 'aria-label', t('Run {name}', { name: store.run.name }));
    put(this.element, 'data-link', this.feed.link);
    this.header.draw({
      link: this.feed.link,
      waiting: this.feed.asking.waiting,
      stopping: this.stopping,
      failed: this.stopFailed,
      teller: 'server'
    });
    if (this.place.tab === 'charts') {
      this.charts.draw();
    } else if (this.place.tab === 'logs') {
      this.logs.draw();
    } else if (this.place.tab === 'system') {
      this.system.draw();
    }
    this.badges();
    this.tick();
  }

  private badges(): void {
    const { metrics, more, log } = this.feed.store;
    const badge = (name: TabName, count: number): void => this.tabs.badge(name, count ? whole(count) : '');
    badge('charts', metrics.size + more);
    badge('logs', log.total);
    badge('children', this.full?.children ?? 0);
  }

  /** The time alone, once a second while the run moves and is seen. */
  private tick(): void {
    const run = this.feed.store.run;
    const moves = this.seen && run !== null && !run.over && run.started !== null && this.feed.link === 'open';
    if (moves && this.ticking === undefined) {
      this.ticking = setInterval(() => this.header.tick(), 1000);
    } else if (!moves && this.ticking !== undefined) {
      clearInterval(this.ticking);
      this.ticking = undefined;
    }
  }
}
