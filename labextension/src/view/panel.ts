// The whole view of one run: takes what a source sends, draws once per frame, and says what it needs.

import type { FromPython } from '../contract.js';
import type { Source } from '../source/source.js';
import { Asking, PATIENCE } from './asking.js';
import { CellStrip } from './cells.js';
import { Charts, FEW } from './charts.js';
import { Details } from './details.js';
import { button, h, on, put, show } from './dom.js';
import { Frames } from './frames.js';
import { Header } from './header.js';
import { LogPane } from './logpane.js';
import { Store } from './store.js';
import { SystemView } from './system.js';
import { Tabs } from './tabs.js';
import { Theme } from './theme.js';
import { t, whole } from './words.js';

const BUCKETS = 800;
/** Milliseconds out of sight before frames are declined: scrolling past is no leaving. */
const AWAY = 1500;
/** Milliseconds between two hellos, at least. */
const REST = 1000;
/** … and from one that nobody answered to the next: at first, and at most. */
const FIRST_AGAIN = 3000;
const MOST_AGAIN = 30_000;

type Name = 'overview' | 'charts' | 'log' | 'system' | 'details';

export class Panel {
  readonly element = h('div', { class: 'mlr-live', 'data-tab': 'overview' });
  readonly store = new Store();
  private readonly end = new AbortController();
  private readonly asking: Asking;
  private readonly frames = new Frames(() => this.draw());
  private readonly header: Header;
  private readonly charts: Charts;
  private readonly log: LogPane;
  private readonly details: Details;
  private readonly system: SystemView;
  private readonly cells: CellStrip;
  private readonly tabs: Tabs<Name>;
  private readonly skeleton = skeleton();
  private readonly body = h('div', { class: 'content' });
  private readonly all = button(t('All charts'), null, true);
  private readonly away: IntersectionObserver;
  private onScreen = true;
  private hidden = false;
  private greeted = 0; // when the last hello went out
  private answered = true; // whether a full frame came since
  private again: ReturnType<typeof setTimeout> | undefined;
  private patience = FIRST_AGAIN;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private ticking: ReturnType<typeof setInterval> | undefined;
  private rank = 0;
  private stopping = false;
  private failed: string | null = null;

  constructor(private readonly source: Source) {
    const { signal } = this.end;
    const changed = (): void => this.frames.request();
    const theme = new Theme(this.element, () => (this.charts?.redraw(), changed()), signal);
    this.asking = new Asking(source, changed);
    this.header = new Header(this.store, () => this.stop(), signal);
    this.charts = new Charts(this.store, this.asking, () => theme.palette(), changed, signal);
    this.log = new LogPane(this.store, this.asking, changed, rank => this.another(rank), signal);
    this.details = new Details(this.store);
    this.system = new SystemView(this.store, signal);
    this.cells = new CellStrip(this.store);
    const names: [Name, string][] = [
      ['overview', t('Overview')],
      ['charts', t('Charts')],
      ['log', t('Logs')],
      ['system', t('System')],
      ['details', t('Details')]
    ];
    const tabs = names.map(([name, label]) => ({ name, label }));
    this.tabs = new Tabs(tabs, this.body, t('What is shown of the run'), name => this.choose(name), signal);
    this.assemble(signal);
    this.away = new IntersectionObserver(entries => {
      this.onScreen = entries.at(-1)?.isIntersecting ?? true;
      this.look();
    });
    this.away.observe(this.element);
    document.addEventListener('visibilitychange', () => this.look(), { signal });
    const silent = source.listen((message, numbers) => this.hear(message, numbers), () => this.linked());
    signal.addEventListener('abort', silent);
    this.hello();
    changed();
  }

  /** Take it out of the page: nothing of it stays. */
  dispose(): void {
    this.end.abort();
    this.asking.end();
    this.frames.end();
    this.away.disconnect();
    clearTimeout(this.again);
    clearTimeout(this.leaving);
    clearInterval(this.ticking);
    if (this.source.link === 'open') {
      this.source.send({ type: 'hide' });
    }
    this.element.remove();
  }

  private assemble(signal: AbortSignal): void {
    put(this.element, 'role', 'region');
    put(this.element, 'aria-label', t('Run'));
    put(this.all, 'class', 'button all');
    on(this.all, 'click', () => this.tabs.choose('charts'), signal);
    this.body.append(this.charts.element, this.all, this.system.element, this.log.element, this.details.element);
    this.element.append(this.skeleton, this.header.element, this.cells.element, this.tabs.element, this.body);
    // a notebook in command mode takes single keys for commands: what is typed here is not for it
    on(this.element, 'keydown', event => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key !== 'Escape') {
        event.stopPropagation();
      }
    }, signal);
  }

  private hear(message: FromPython, numbers: Float64Array): void {
    if (message.type !== 'frame') {
      this.asking.answer(message, numbers);
      return;
    }
    if (message.full) {
      this.answered = true;
      this.patience = FIRST_AGAIN;
    }
    const change = this.store.apply(message, numbers);
    if (change.hello && !this.hidden) {
      this.hello();
    }
    if (this.store.run?.over) {
      this.stopping = false;
    }
    this.frames.request();
  }

  /** Ask for everything; not again before it came, or `REST` passed. */
  private hello(): void {
    const wait = this.greeted + REST - Date.now();
    if (wait > 0) {
      clearTimeout(this.again);
      this.again = setTimeout(() => this.hello(), wait);
      return;
    }
    this.greeted = Date.now();
    this.answered = false;
    const log = this.rank ? { log: this.rank } : {};
    this.source.send({ type: 'hello', view: this.source.view, have: this.store.seq, buckets: BUCKETS, ...log });
    setTimeout(() => this.frames.request(), PATIENCE + 50);
    clearTimeout(this.again);
    this.again = setTimeout(() => this.unheard(), this.patience);
    this.patience = Math.min(2 * this.patience, MOST_AGAIN);
  }

  /** A kernel to which a page comes back may miss a message: without an answer, what follows has no beginning. */
  private unheard(): void {
    if (!this.answered && !this.hidden && this.source.link === 'open') {
      this.hello();
    }
  }

  private look(): void {
    const seen = this.onScreen && document.visibilityState === 'visible';
    clearTimeout(this.leaving);
    if (!seen && !this.hidden) {
      this.leaving = setTimeout(() => {
        this.hidden = true;
        this.source.send({ type: 'hide' });
        this.tickWhile();
      }, AWAY);
    } else if (seen && this.hidden) {
      this.hidden = false;
      this.hello();
      this.frames.request();
    }
  }

  private linked(): void {
    if (this.source.link === 'open') {
      this.hello();
    } else {
      this.asking.end();
      this.stopping = false;
    }
    this.frames.request();
  }

  private stop(): void {
    this.stopping = true;
    this.failed = null;
    this.asking.ask({ type: 'command', name: 'stop' }, answer => {
      const error = answer.type === 'done' || answer.type === 'refused' ? answer.error : null;
      this.failed = error;
      this.stopping = error === null && !this.store.run?.over;
      this.frames.request();
    });
    this.frames.request();
  }

  private another(rank: number): void {
    this.rank = rank;
    this.greeted = 0;
    this.hello();
  }

  private choose(name: Name): void {
    put(this.element, 'data-tab', name);
    this.frames.request();
  }

  private draw(): void {
    if (this.hidden) {
      return;
    }
    const { run } = this.store;
    const loaded = run !== null;
    const late = !this.answered && Date.now() - this.greeted > PATIENCE;
    show(this.skeleton, !loaded);
    put(this.skeleton, 'data-late', late || this.source.link === 'lost');
    show(this.tabs.element, loaded);
    show(this.body, loaded);
    if (!loaded) {
      return;
    }
    put(this.element, 'aria-label', t('Run {name}', { name: run.name }));
    put(this.element, 'data-link', this.source.link);
    const waiting = this.asking.waiting || (late && this.store.seq === null);
    const teller = this.source.view === 'http' ? 'server' : 'kernel';
    this.header.draw({ link: this.source.link, waiting, stopping: this.stopping, failed: this.failed, teller });
    this.charts.draw();
    this.log.draw();
    this.details.draw();
    this.system.draw();
    this.cells.draw();
    this.badges();
    this.tickWhile();
  }

  private badges(): void {
    const { metrics, more, log, run } = this.store;
    const count = metrics.size + more;
    this.tabs.offer('system', this.store.machine.figures.size > 0);
    this.tabs.badge('charts', count ? whole(count) : '');
    this.tabs.badge('log', log.total ? whole(log.total) : '');
    this.tabs.badge('details', run?.parameters.length ? whole(run.parameters.length) : '');
    show(this.all, this.tabs.current === 'overview' && count > FEW);
    this.all.textContent = t('All {n} metrics', { n: whole(count) });
  }

  /** Once a second while the run moves and is seen; by nothing else. */
  private tickWhile(): void {
    const { run } = this.store;
    const moves = run !== null && !run.over && !this.hidden && run.started !== null && this.source.link === 'open';
    if (moves && this.ticking === undefined) {
      this.ticking = setInterval(() => this.header.tick(), 1000);
    } else if (!moves && this.ticking !== undefined) {
      clearInterval(this.ticking);
      this.ticking = undefined;
    }
  }
}

/** What is seen before the first frame: the panel's outline, and why it waits when it must. */
function skeleton(): HTMLElement {
  const bars = ['wide', 'mid', 'chart'].map(kind => h('div', { class: `bone ${kind}` }));
  const words = h('p', { class: 'late' }, t('Waiting for the kernel: the run’s state follows as soon as it answers.'));
  return h('div', { class: 'skeleton', role: 'status', 'aria-label': t('Loading the run') }, ...bars, words);
}
