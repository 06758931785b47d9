// The log: a pane that holds only the lines in sight, follows the end, and asks for what is looked at.

import { MOST_LINES } from '../contract.js';
import { plain } from './ansi.js';
import type { Asking } from './asking.js';
import { button, copy, h, on, put, say, show } from './dom.js';
import { Rows, type Wanted } from './rows.js';
import { fractionOf, MOST_HEIGHT, scrollHeight, windowAt, type Window } from './scroll.js';
import { Search } from './search.js';
import type { Store } from './store.js';
import { bytes, plural, t } from './words.js';

/** Pixels of a row that is not wrapped: style/widget.css has the same. */
export const ROW = 18;
/** Milliseconds that a scroll position must stay before its missing lines are asked for. */
const CALM = 60;

export class LogPane {
  readonly element: HTMLElement;
  private readonly pane = h('div', { class: 'pane', tabindex: 0, role: 'region', 'aria-label': t('Log') });
  private readonly spacer = h('div', { class: 'spacer' });
  private readonly window = h('div', { class: 'window' });
  private readonly rows = new Rows();
  private readonly empty = h('div', { class: 'empty' });
  private readonly dropped = h('div', { class: 'note' });
  private readonly size = h('span', { class: 'size' });
  private readonly said = h('span', { class: 'sr-only', role: 'status' });
  private readonly jump = button(t('Newest lines'), 'end', true);
  private readonly followed = button(t('Follow'), null, true);
  private readonly wrapped = button(t('Wrap long lines'), 'wrap');
  private readonly ranks = h('select', { class: 'field', 'aria-label': t('Log of') });
  private readonly search: Search;
  private following = true;
  private wrap = false;
  private found: number | null = null;
  private place = 1; // the fraction that is scrolled
  private row = ROW; // the height of a row, on average
  private moved = false; // the position is ours to set, not the reader's
  private bound = false; // for a place that is not drawn yet: where the browser says it stands is older
  private seenTotal = 0;
  private asked = false;
  private drawn: unknown[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly asking: Asking,
    private readonly request: () => void,
    private readonly another: (log: number) => void,
    signal: AbortSignal
  ) {
    this.search = new Search(
      asking,
      { here: () => this.first(), total: () => store.log.total, found: line => this.lookAt(line) },
      signal
    );
    this.window.append(this.rows.element);
    this.spacer.append(this.window);
    this.pane.append(this.spacer);
    put(this.jump, 'class', 'button jump');
    const body = h('div', { class: 'body' }, this.dropped, this.pane, this.empty, this.jump, this.said);
    this.element = h('section', { class: 'log', 'aria-label': t('Log') }, this.toolbar(signal), body);
    on(this.pane, 'scroll', () => this.scrolled(), signal, { passive: true });
    on(this.pane, 'wheel', event => this.wheel(event), signal, { passive: false });
    on(this.pane, 'keydown', event => this.key(event), signal);
    on(this.jump, 'click', () => (this.follow(true), this.pane.focus()), signal);
    const sizes = new ResizeObserver(() => this.changed());
    sizes.observe(this.pane);
    signal.addEventListener('abort', () => {
      sizes.disconnect();
      clearTimeout(this.timer);
    });
  }

  /** Draw what changed; nothing while the pane is not shown. */
  draw(): void {
    const { log, run } = this.store;
    const seen = [log.version, log.total, log.dropped, run];
    if (seen.every((part, i) => part === this.drawn[i])) {
      return;
    }
    this.drawn = seen;
    this.words();
    this.pane.style.setProperty('--digits', String(Math.max(3, String(log.total).length)));
    this.pane.style.setProperty('--high', `${log.total * this.row}px`);
    const viewport = this.pane.clientHeight;
    if (log.total === 0) {
      this.rows.draw([]);
      return;
    }
    if (viewport === 0) {
      this.later();
      return;
    }
    this.spacer.style.height = `${scrollHeight(log.total, this.row)}px`;
    this.window.style.height = `${viewport}px`;
    const range = Math.max(0, this.pane.scrollHeight - viewport);
    if (this.following) {
      this.place = 1;
    } else if (this.seenTotal > 0 && this.seenTotal !== log.total) {
      // lines came at the end: those in sight stay where they are
      const top = this.place * (this.seenTotal * this.row - viewport);
      this.place = Math.min(1, Math.max(0, top / Math.max(1, log.total * this.row - viewport)));
    }
    this.seenTotal = log.total;
    this.put(this.place * range);
    this.bound = false;
    this.render(viewport);
  }

  /** Without height: hidden, or for a moment without style, which no observer of sizes tells when it has passed. */
  private later(): void {
    this.drawn = [];
    if (this.pane.offsetParent !== null && this.timer === undefined) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.changed();
      }, CALM);
    }
  }

  /** Something other than what is known changed: where one looks, how large the pane is. */
  private changed(): void {
    this.drawn = [];
    this.request();
  }

  /** Another log begins. */
  clear(): void {
    this.store.log.clear();
    this.search.clear();
    this.seenTotal = 0;
    this.follow(true);
  }

  private render(viewport: number): void {
    const { log } = this.store;
    const seen = this.seen(viewport);
    const wanted: Wanted[] = [];
    const search = this.search.text;
    for (let number = seen.from; number < seen.to; number++) {
      wanted.push({ number, text: log.get(number), search, found: number === this.found });
    }
    this.rows.draw(wanted);
    const row = this.wrap ? this.rows.at(seen.anchor) : undefined;
    const top = row?.offsetTop ?? (seen.anchor - seen.from) * ROW;
    const height = row?.offsetHeight ?? ROW;
    this.rows.element.style.transform = `translateY(${Math.round(seen.at - top - seen.part * height)}px)`;
    this.measure(wanted.length);
    this.need(seen.from, seen.to);
  }

  private seen(viewport = this.pane.clientHeight): Window {
    return windowAt(this.place, this.store.log.total, viewport, this.row, ROW);
  }

  /** How high rows are, where they are wrapped: the scroll bar goes by that. */
  private measure(count: number): void {
    const row = this.wrap ? Math.max(ROW, this.rows.element.offsetHeight / Math.max(1, count)) : ROW;
    if (Math.abs(row - this.row) > 0.2 * this.row || (!this.wrap && row !== this.row)) {
      this.row = row;
      this.changed();
    }
  }

  private need(from: number, to: number): void {
    if (this.asked || this.timer !== undefined || !this.store.log.missing(from, to)) {
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.fill();
    }, CALM);
  }

  /** Ask for what is missing in sight, and some around it; one question at a time. */
  private fill(): void {
    const { log } = this.store;
    const seen = this.seen();
    const missing = log.missing(seen.from, seen.to);
    if (!missing) {
      return;
    }
    const from = Math.max(0, missing[0] - 150);
    const to = Math.min(log.total, from + Math.min(500, MOST_LINES));
    this.asked = true;
    this.asking.ask({ type: 'lines', from, to }, answer => {
      this.asked = false;
      if (answer.type === 'lines') {
        log.put(answer.from, answer.lines);
      }
      this.changed();
    });
  }

  private put(top: number): void {
    if (Math.abs(this.pane.scrollTop - top) >= 1) {
      const before = this.pane.scrollTop;
      this.pane.scrollTop = top;
      // an event comes only where the browser let it move
      this.moved = this.pane.scrollTop !== before;
    }
  }

  private scrolled(): void {
    const range = this.pane.scrollHeight - this.pane.clientHeight;
    if (this.moved) {
      this.moved = false;
    } else if (range > 0 && !this.bound) {
      this.go(this.pane.scrollTop / range);
    }
  }

  private go(fraction: number): void {
    const range = Math.max(1, this.pane.scrollHeight - this.pane.clientHeight);
    this.place = Math.min(Math.max(fraction, 0), 1);
    this.keep((1 - this.place) * range < 2);
  }

  /** Where the range was shortened, a wheel would leap: it moves by lines instead. */
  private wheel(event: WheelEvent): void {
    const { total } = this.store.log;
    if (event.deltaY < 0 && this.pane.scrollTop > 0) {
      // a frame that comes before the scroll event must not pull back to the end
      this.following = false;
    }
    if (total * this.row <= MOST_HEIGHT || event.ctrlKey || event.deltaY === 0) {
      return;
    }
    event.preventDefault();
    this.by(event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * ROW : event.deltaY);
  }

  private by(pixels: number): void {
    const height = this.store.log.total * this.row - this.pane.clientHeight;
    this.bound = true;
    this.go(this.place + pixels / Math.max(1, height));
  }

  private key(event: KeyboardEvent): void {
    const page = this.pane.clientHeight - ROW;
    const moves: Record<string, number> = {
      ArrowUp: -ROW, ArrowDown: ROW, PageUp: -page, PageDown: page, ' ': page, Home: -Infinity, End: Infinity
    };
    const plainKey = !event.ctrlKey && !event.metaKey && !event.altKey;
    const move = moves[event.key];
    if (plainKey && move !== undefined) {
      this.by(event.key === ' ' && event.shiftKey ? -move : move);
    } else if ((plainKey && event.key === '/') || ((event.ctrlKey || event.metaKey) && event.key === 'f')) {
      this.search.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private follow(on: boolean): void {
    this.bound = true;
    this.keep(on);
  }

  private keep(on: boolean): void {
    this.following = on;
    put(this.followed, 'aria-pressed', String(on));
    this.changed();
  }

  private first(): number {
    const seen = this.seen();
    return Math.max(0, Math.ceil(seen.anchor - seen.at / ROW));
  }

  private lookAt(line: number | null): void {
    this.found = line;
    if (line === null) {
      this.changed();
      return;
    }
    this.place = fractionOf(line, this.store.log.total, this.pane.clientHeight, this.row);
    this.follow(false);
  }

  private words(): void {
    const { run, log } = this.store;
    show(this.empty, log.total === 0);
    show(this.pane, log.total > 0);
    say(this.empty, run?.over ? t('This run printed nothing.') : t('Nothing printed yet.'));
    show(this.dropped, log.dropped !== null);
    say(this.dropped, log.dropped ?? '');
    show(this.jump, !this.following && log.total > 0);
    const words = log.total ? [plural(log.total, '{n} line', '{n} lines'), bytes(log.bytes)] : [];
    say(this.size, words.join(' · '));
    this.choices();
  }

  private choices(): void {
    const logs = this.store.run?.logs ?? [];
    show(this.ranks, logs.length > 1);
    if (logs.length > 1 && this.ranks.options.length !== logs.length) {
      this.ranks.replaceChildren(...logs.map((name, i) => h('option', { value: i }, name)));
    }
  }

  private toolbar(signal: AbortSignal): HTMLElement {
    const copied = button(t('Copy the selection, or the last {n} lines', { n: MOST_LINES }), 'copy');
    put(this.followed, 'aria-pressed', 'true');
    put(this.followed, 'title', t('Stay at the newest line'));
    put(this.wrapped, 'aria-pressed', 'false');
    on(this.followed, 'click', () => this.follow(!this.following), signal);
    on(this.wrapped, 'click', () => {
      this.wrap = !this.wrap;
      put(this.wrapped, 'aria-pressed', String(this.wrap));
      put(this.element, 'data-wrap', this.wrap);
      this.changed();
    }, signal);
    on(copied, 'click', () => this.copy(), signal);
    on(this.ranks, 'change', () => {
      this.clear();
      this.another(Number(this.ranks.value));
    }, signal);
    return h(
      'div',
      { class: 'tools', role: 'toolbar', 'aria-label': t('Log tools') },
      this.ranks,
      this.size,
      h('span', { class: 'space' }),
      this.search.element,
      h('div', { class: 'group' }, this.wrapped, copied, this.followed)
    );
  }

  private copy(): void {
    const selection = document.getSelection();
    const inside = selection && !selection.isCollapsed && this.rows.element.contains(selection.anchorNode);
    if (inside) {
      void this.toClipboard(selection.toString());
      return;
    }
    const { total } = this.store.log;
    this.asking.ask({ type: 'lines', from: Math.max(0, total - MOST_LINES), to: total }, answer => {
      if (answer.type === 'lines') {
        void this.toClipboard(answer.lines.map(plain).join('\n'));
      }
    });
  }

  private async toClipboard(text: string): Promise<void> {
    const done = await copy(text);
    say(this.said, done ? plural(text.split('\n').length, 'One line copied.', '{n} lines copied.') : t('The browser refused to copy.'));
  }
}
