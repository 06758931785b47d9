// All metrics of a run: a toolbar, cards of single values, and the grid of charts.

import type { Axis } from '../contract.js';
import type { Asking } from './asking.js';
import { Card, type Shared } from './card.js';
import type { Lens } from './curve.js';
import { button, h, on, put, say, show } from './dom.js';
import type { Palette } from './plot.js';
import type { Store } from './store.js';
import { plural, t } from './words.js';

/** From so many metrics on they can be filtered. */
const MANY = 7;
/** In the overview. */
export const FEW = 6;
let groups = 0;

export class Charts {
  readonly element: HTMLElement;
  private readonly cards = new Map<string, Card>();
  private readonly ofElement = new Map<Element, Card>();
  private readonly singles = h('div', { class: 'singles' });
  private readonly grid = h('div', { class: 'grid' });
  private readonly forms = h('div', { class: 'forms' });
  private readonly scroller = h('div', { class: 'charts-scroll' });
  private readonly empty = h('div', { class: 'empty' });
  private readonly note = h('div', { class: 'note' });
  private readonly filter = h('input', { type: 'search', class: 'field', placeholder: t('Filter metrics') });
  private readonly sight: IntersectionObserver;
  private readonly sizes: ResizeObserver;
  private readonly shared: Shared;
  private readonly lens: Lens = { axis: 'step', logarithmic: false, smoothing: 0, origin: 0 };
  private resized = false;

  constructor(
    private readonly store: Store,
    asking: Asking,
    palette: () => Palette,
    private readonly changed: () => void,
    private readonly signal: AbortSignal
  ) {
    this.shared = { asking, palette, changed, lens: () => this.lens, group: `jupyter_mlrun-${++groups}` };
    this.element = h('section', { class: 'charts', 'aria-label': t('Charts') });
    this.scroller.append(this.singles, this.grid, this.forms, this.note, this.empty);
    this.element.append(this.toolbar(), this.scroller);
    this.sight = new IntersectionObserver(seen => this.seen(seen), { root: this.scroller, rootMargin: '200px' });
    this.sizes = new ResizeObserver(() => {
      this.resized = true;
      changed();
    });
    this.sizes.observe(this.grid);
    signal.addEventListener('abort', () => this.end());
  }

  /** How many metrics the filter lets through. */
  get count(): number {
    return this.cards.size;
  }

  /** Draw what changed. */
  draw(): void {
    this.lens.origin = this.store.run?.started ?? this.store.run?.created ?? 0;
    this.arrange();
    if (this.resized) {
      this.resized = false;
      this.cards.forEach(card => card.resize());
    }
    this.cards.forEach(card => card.draw());
  }

  /** After a change of theme. */
  redraw(): void {
    this.cards.forEach(card => card.redraw());
  }

  private arrange(): void {
    for (const [name, card] of this.cards) {
      if (this.store.metrics.get(name) !== card.metric) {
        this.remove(name, card);
      }
    }
    for (const metric of this.store.metrics.values()) {
      const card = this.cards.get(metric.name) ?? this.add(metric.name);
      const home = card?.form === 'chart' ? this.grid : card?.form === 'form' ? this.forms : this.singles;
      if (card && card.element.parentElement !== home) {
        put(card.element, 'data-form', card.form);
        home.append(card.element);
      }
    }
    show(this.singles, this.singles.childElementCount > 0);
    show(this.forms, this.forms.childElementCount > 0);
    show(this.filter, this.cards.size >= MANY || this.filter.value !== '');
    this.words();
  }

  private words(): void {
    const over = this.store.run?.over ?? false;
    const none = this.cards.size === 0;
    const nothing = !none && ![...this.cards.values()].some(card => !card.element.hidden);
    show(this.empty, none || nothing);
    say(
      this.empty,
      nothing ? t('No metric has this in its name.') : over ? t('This run logged no metrics.') : t('No metrics yet. They appear here as soon as the run calls log().')
    );
    show(this.note, this.store.more > 0);
    say(this.note, plural(this.store.more, 'One more metric is not shown.', '{n} more metrics are not shown.'));
    put(this.element, 'data-empty', none);
    put(this.element, 'data-few', this.cards.size <= FEW);
  }

  private add(name: string): Card | undefined {
    const metric = this.store.metrics.get(name);
    if (!metric) {
      return undefined;
    }
    const card = new Card(metric, this.shared, this.signal);
    this.cards.set(name, card);
    this.ofElement.set(card.element, card);
    this.sift(card);
    this.sight.observe(card.element);
    return card;
  }

  private remove(name: string, card: Card): void {
    this.sight.unobserve(card.element);
    this.ofElement.delete(card.element);
    card.end();
    card.element.remove();
    this.cards.delete(name);
  }

  private seen(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const card = this.ofElement.get(entry.target);
      if (card && entry.isIntersecting) {
        card.visible = true;
      } else {
        card?.leave();
      }
    }
    this.changed();
  }

  private sift(card: Card): void {
    const wanted = this.filter.value.trim().toLowerCase();
    show(card.element, card.metric.name.toLowerCase().includes(wanted));
  }

  private toolbar(): HTMLElement {
    put(this.filter, 'aria-label', t('Filter metrics by name'));
    on(this.filter, 'input', () => {
      this.cards.forEach(card => this.sift(card));
      this.words();
      this.changed();
    }, this.signal);
    return h(
      'div',
      { class: 'tools', role: 'toolbar', 'aria-label': t('How charts are drawn') },
      this.axes(),
      this.logarithmic(),
      this.smoothing(),
      h('span', { class: 'space' }),
      this.filter
    );
  }

  private axes(): HTMLElement {
    const group = h('div', { class: 'segments', role: 'group', 'aria-label': t('Horizontal axis') });
    const choices: [Axis, string][] = [['step', t('Step')], ['time', t('Time')]];
    const buttons = choices.map(([axis, label]) => {
      const choice = button(label, null, true);
      put(choice, 'aria-pressed', String(axis === this.lens.axis));
      on(choice, 'click', () => {
        this.lens.axis = axis;
        buttons.forEach((other, i) => put(other, 'aria-pressed', String(choices[i]?.[0] === axis)));
        this.changed();
      }, this.signal);
      return choice;
    });
    group.append(...buttons);
    return group;
  }

  private logarithmic(): HTMLElement {
    const toggle = button(t('Log scale'), null, true);
    put(toggle, 'aria-pressed', 'false');
    on(toggle, 'click', () => {
      this.lens.logarithmic = !this.lens.logarithmic;
      put(toggle, 'aria-pressed', String(this.lens.logarithmic));
      this.changed();
    }, this.signal);
    return toggle;
  }

  private smoothing(): HTMLElement {
    const slider = h('input', { type: 'range', min: 0, max: 0.99, step: 0.01, value: 0 });
    const shown = h('output', {}, '0');
    put(slider, 'aria-label', t('Smoothing: weight of the moving average'));
    on(slider, 'input', () => {
      this.lens.smoothing = Number(slider.value);
      say(shown, this.lens.smoothing ? this.lens.smoothing.toFixed(2) : '0');
      this.changed();
    }, this.signal);
    return h('label', { class: 'smoothing' }, h('span', {}, t('Smoothing')), slider, shown);
  }

  private end(): void {
    this.sight.disconnect();
    this.sizes.disconnect();
    this.cards.forEach(card => card.end());
  }
}
