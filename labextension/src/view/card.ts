// The card of one metric: its name and last value, and its chart where there is something to draw.

import type { Axis } from '../contract.js';
import type { Asking } from './asking.js';
import { curve, extremes, unpack, type Columns, type Curve, type Lens } from './curve.js';
import { button, h, on, put, say, show } from './dom.js';
import { FormBody } from './formbody.js';
import { Plot, type Palette } from './plot.js';
import type { Metric } from './series.js';
import { number, plural, span, t, whole } from './words.js';

const BUCKETS = 1000;
/** Points of a metric from which on reading them takes longer than a zoom may. */
const LONG = 40_000;

/** What every card of a panel shares. */
export interface Shared {
  palette(): Palette;
  asking: Asking;
  lens(): Lens;
  /** charts with the same name share their cursor */
  group: string;
  /** something is to be drawn */
  changed(): void;
}

/** A part of the x axis, and its points when they have come. */
interface Zoom {
  axis: Axis;
  from: number;
  to: number;
  columns: Columns | null;
  ask: number | null;
}

export class Card {
  readonly element: HTMLElement;
  /** in sight: only then it holds a canvas */
  visible = false;
  private readonly value = h('span', { class: 'value' });
  private readonly at = h('span', { class: 'at' });
  private readonly foot = h('div', { class: 'foot' });
  private readonly about = h('span');
  private readonly back = button(t('Reset zoom'), null, true);
  private readonly place = h('div', { class: 'plot', tabindex: 0, role: 'group', 'aria-roledescription': t('chart') });
  private readonly heard = h('span', { class: 'sr-only', 'aria-live': 'polite' });
  private plot: Plot | null = null;
  private body: FormBody | null = null;
  private zoom: Zoom | null = null;
  private shown: Curve | null = null;
  private drawn = '';
  private hovered: number | null = null;
  private held: number | null = null; // where the keyboard is: it stays while charts are drawn anew
  private touched = 0;
  private wanted = 0; // points that were there when a zoom was prepared

  constructor(
    readonly metric: Metric,
    private readonly shared: Shared,
    signal: AbortSignal
  ) {
    const name = h('h4', { class: 'metric', title: metric.name }, metric.name || t('(no name)'));
    put(this.back, 'class', 'button small');
    this.foot.append(this.about, this.back);
    this.element = h('article', { class: 'card' }, h('div', { class: 'top' }, name, this.at, this.value));
    this.element.append(this.place, this.foot, this.heard);
    on(this.back, 'click', () => (this.reset(), this.place.focus()), signal);
    on(this.place, 'keydown', event => this.key(event), signal);
    on(this.place, 'blur', () => this.hold(null), signal);
    // who zooms comes here first
    on(this.place, 'focus', () => this.ready(), signal);
    on(this.place, 'pointerdown', () => this.ready(), signal);
  }

  /** chart, one number, words, or a table, an image … */
  get form(): 'chart' | 'number' | 'text' | 'form' {
    const { kind, count, points, form } = this.metric;
    if (kind === 'form' && form) {
      return 'form';
    }
    if (kind !== 'number') {
      return 'text';
    }
    return count > 1 || points.length > 1 ? 'chart' : 'number';
  }

  /** Draw what changed since the last time. */
  draw(): void {
    const lens = this.shared.lens();
    const key = `${this.metric.version} ${this.touched} ${lens.axis} ${lens.logarithmic} ${lens.smoothing} ${lens.origin}`;
    if (!this.visible || (key === this.drawn && (this.plot || this.form !== 'chart'))) {
      return;
    }
    this.drawn = key;
    const form = this.form;
    put(this.element, 'data-form', form);
    show(this.place, form === 'chart');
    show(this.foot, form === 'chart');
    if (form === 'chart') {
      this.chart(lens);
    }
    if (form === 'form') {
      this.formed();
    }
    this.values();
  }

  /** Out of sight: a canvas that nobody sees is memory. */
  leave(): void {
    this.visible = false;
    this.plot?.end();
    this.plot = null;
    this.body?.leave();
  }

  /** It is taken away. */
  end(): void {
    this.leave();
    this.body?.end();
  }

  redraw(): void {
    this.plot?.redraw();
  }

  resize(): void {
    this.plot?.resize(this.place.clientWidth);
  }

  private chart(lens: Lens): void {
    this.plot ??= new Plot(
      this.place,
      this.shared.palette,
      {
        zoom: (from, to) => this.zoomTo(from, to),
        reset: () => this.reset(),
        cursor: index => this.hover(index)
      },
      this.shared.group
    );
    if (this.zoom && this.zoom.axis !== lens.axis) {
      this.zoom = null;
    }
    const shift = lens.axis === 'time' ? lens.origin : 0;
    const points = this.metric.points;
    const kept: Columns = {
      x: points.column(lens.axis),
      min: points.column('min'),
      max: points.column('max'),
      last: points.column('last')
    };
    this.shown = curve(this.zoom?.columns ?? kept, lens);
    const window: [number, number] | null = this.zoom && [this.zoom.from - shift, this.zoom.to - shift];
    const odd = this.metric.odd.map(([step, time]) => (lens.axis === 'step' ? step : time - shift));
    this.plot.draw(this.shown, lens, window, odd);
    this.footer(kept, this.shown);
  }

  private formed(): void {
    if (!this.body) {
      this.body = new FormBody(this.metric, this.shared.asking);
      this.element.append(this.body.element);
    }
    this.body.draw();
  }

  private footer(kept: Columns, shown: Curve): void {
    const ends = extremes(kept.min, kept.max);
    const words = [
      ends ? t('min {a}', { a: number(ends[0]) }) : '',
      ends ? t('max {b}', { b: number(ends[1]) }) : '',
      plural(this.metric.count, '{n} point', '{n} points'),
      this.metric.nonfinite ? t('{n} not finite', { n: whole(this.metric.nonfinite) }) : '',
      shown.hidden ? t('{n} not above 0', { n: whole(shown.hidden) }) : ''
    ];
    const text = words.filter(word => word).join(' · ');
    say(this.about, text);
    show(this.back, this.zoom !== null);
    const label = { name: this.metric.name, last: this.metric.last, about: text };
    put(this.place, 'aria-label', t('{name}: last {last}, {about}. Arrow keys move, + and − zoom, 0 resets.', label));
  }

  private values(): void {
    const at = this.hovered ?? this.held;
    const point = at === null || !this.shown ? null : this.pointed(at);
    say(this.value, point ? point[0] : this.form === 'form' ? (this.body?.words ?? '') : this.metric.last);
    say(this.at, point ? point[1] : '');
    const finite = /^(nan|[-−+]?inf(inity)?|[-−]?∞)$/i.test(this.metric.last.trim());
    put(this.value, 'data-look', !point && finite ? 'bad' : null);
    put(this.value, 'title', this.form === 'text' ? this.metric.last : null);
  }

  private pointed(index: number): [string, string] | null {
    const lens = this.shared.lens();
    const [x, y] = [this.shown?.x[index], this.shown?.raw[index]];
    if (x === undefined) {
      return null;
    }
    const value = y === null || y === undefined ? '–' : number(lens.logarithmic ? 10 ** y : y);
    return [value, lens.axis === 'step' ? t('step {n}', { n: number(x) }) : t('after {time}', { time: span(x) })];
  }

  private hover(index: number | null): void {
    if (index !== this.hovered) {
      this.hovered = index;
      this.values();
    }
  }

  private hold(index: number | null): void {
    this.held = index;
    this.values();
  }

  /** Have a long series read before the first zoom asks for a part of it. */
  private ready(): void {
    const { name, count } = this.metric;
    if (count > LONG && count !== this.wanted && this.form === 'chart' && !this.zoom) {
      this.wanted = count;
      const question = { type: 'range', metric: name, x: this.shared.lens().axis, from: 0, to: 0, buckets: 1 } as const;
      this.shared.asking.ask(question, () => undefined, false);
    }
  }

  private zoomTo(from: number, to: number): void {
    const lens = this.shared.lens();
    const shift = lens.axis === 'time' ? lens.origin : 0;
    if (this.zoom?.ask) {
      this.shared.asking.drop(this.zoom.ask);
    }
    const zoom: Zoom = { axis: lens.axis, from: from + shift, to: to + shift, columns: this.zoom?.columns ?? null, ask: null };
    this.zoom = zoom;
    zoom.ask = this.shared.asking.ask(
      { type: 'range', metric: this.metric.name, x: lens.axis, from: zoom.from, to: zoom.to, buckets: BUCKETS },
      (answer, numbers) => {
        if (answer.type === 'range' && this.zoom === zoom) {
          zoom.ask = null;
          zoom.columns = unpack(numbers, answer.count);
          this.touch();
        }
      }
    );
    // until the answer is here, what is kept is shown larger
    zoom.columns = null;
    this.touch();
  }

  private reset(): void {
    if (this.zoom) {
      if (this.zoom.ask) {
        this.shared.asking.drop(this.zoom.ask);
      }
      this.zoom = null;
      this.touch();
    }
  }

  private touch(): void {
    this.touched++;
    this.shared.changed();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const last = (this.shown?.x.length ?? 0) - 1;
    const leap = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const at = this.held ?? this.hovered ?? last + 1;
    const moves: Record<string, number> = { ArrowLeft: at - leap, ArrowRight: at + leap, Home: 0, End: last };
    const move = moves[event.key];
    if (move !== undefined && last >= 0) {
      const index = Math.min(Math.max(move, 0), last);
      this.hold(index);
      this.plot?.point(index);
      say(this.heard, (this.pointed(index) ?? []).join(', '));
    } else if (event.key === '+' || event.key === '=' || event.key === '-') {
      this.scale(event.key === '-' ? 2 : 0.5);
    } else if (event.key === '0' || event.key === 'Escape') {
      this.reset();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private scale(factor: number): void {
    const seen = this.plot?.seen;
    if (!seen) {
      return;
    }
    const at = this.held ?? this.hovered;
    const middle = (at === null ? undefined : this.shown?.x[at]) ?? (seen[0] + seen[1]) / 2;
    const all = this.metric.points.column(this.shared.lens().axis);
    const shift = this.shared.lens().axis === 'time' ? this.shared.lens().origin : 0;
    const ends = extremes(all, all);
    const [from, to] = [middle + (seen[0] - middle) * factor, middle + (seen[1] - middle) * factor];
    if (ends && from <= ends[0] - shift && to >= ends[1] - shift) {
      this.reset();
    } else {
      this.zoomTo(from, to);
    }
  }
}
