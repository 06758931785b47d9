// What a card shows of a metric that is rows, a table, an image or a matrix.  Cells are text; a picture is an image.

import type { Asking } from './asking.js';
import { h, put, say, show } from './dom.js';
import type { Metric, Shown } from './series.js';
import { Spark } from './spark.js';
import { number, plural, t, whole } from './words.js';

export class FormBody {
  readonly element = h('div', { class: 'form' });
  private readonly sparks = h('div', { class: 'sparks' });
  private readonly place = h('div', { class: 'sheet', tabindex: 0, role: 'region' });
  private readonly note = h('div', { class: 'note' });
  private picture: { count: number; url: string } | null = null;
  private asked: number | null = null;
  private refused = false;
  private labels = '';
  private drawn: Spark[] = [];
  private ended = new AbortController();

  constructor(
    private readonly metric: Metric,
    private readonly asking: Asking
  ) {
    this.element.append(this.sparks, this.place, this.note);
  }

  /** Words beside the metric's name. */
  get words(): string {
    const form = this.metric.form;
    if (!form) {
      return '';
    }
    return form.columns.length && !form.matrix ? plural(form.total, 'One row', '{n} rows') : (form.file ?? '');
  }

  draw(): void {
    const form = this.metric.form;
    if (!form) {
      return;
    }
    put(this.place, 'aria-label', t('Table of {name}', { name: this.metric.name }));
    this.lines(form);
    if (form.form === 'image') {
      this.image(form);
    } else if (form.matrix) {
      this.place.replaceChildren(matrix(form.columns, form.matrix));
    } else {
      this.place.replaceChildren(...(form.rows.length ? [table(form)] : []));
    }
    show(this.place, this.place.childElementCount > 0);
    this.below(form);
  }

  /** Out of sight: the picture is memory. */
  leave(): void {
    if (this.asked !== null) {
      this.asking.drop(this.asked);
    }
    this.asked = null;
    if (this.picture) {
      URL.revokeObjectURL(this.picture.url);
      this.picture = null;
      this.place.replaceChildren();
    }
  }

  end(): void {
    this.leave();
    this.ended.abort();
  }

  private below(form: Shown): void {
    const hidden = form.total - form.rows.length;
    const words = [
      form.problem ?? '',
      form.columns.length && hidden > 0 && !form.matrix ? t('The last {n} of {all} rows', { n: form.rows.length, all: whole(form.total) }) : '',
      form.more_columns ? plural(form.more_columns, 'One more column', '{n} more columns') : '',
      form.file && form.count > 1 ? t('the newest of {n}', { n: whole(form.count) }) : '',
      form.file && form.form !== 'image' && !form.matrix && !form.problem ? t('{kind}: kept as {file}', { kind: form.form, file: form.file }) : ''
    ];
    const text = words.filter(word => word).join(' · ');
    if (form.form !== 'image' || !this.waits) {
      say(this.note, text);
    }
    show(this.note, this.note.textContent !== '');
  }

  private get waits(): boolean {
    return this.asked !== null || this.refused;
  }

  private lines(form: Shown): void {
    show(this.sparks, form.curves.length > 0);
    if (this.sparks.childElementCount !== form.curves.length || this.labels !== form.columns.join('\n')) {
      this.labels = form.columns.join('\n');
      this.ended.abort();
      this.ended = new AbortController();
      this.drawn = form.curves.map(curve => new Spark(form.columns[curve.column] ?? '', this.ended.signal));
      this.sparks.replaceChildren(...this.drawn.map(spark => spark.element));
    }
    form.curves.forEach((curve, i) => {
      const words = (at: number): string => t('{value} in row {n}', { value: number(curve.last[at] ?? NaN), n: whole((curve.x[at] ?? 0) + 1) });
      const shape = { x: curve.x, y: curve.last, top: -Infinity, bottom: null };
      this.drawn[i]?.draw(shape, number(curve.last.at(-1) ?? NaN), words, t('{low} to {high}', { low: number(curve.low), high: number(curve.high) }));
    });
  }

  private image(form: Shown): void {
    if (this.picture?.count === form.count || (this.asked !== null && this.asking.open(this.asked))) {
      return;
    }
    const { count } = form;
    this.refused = false;
    say(this.note, t('The picture is fetched …'));
    this.asked = this.asking.ask({ type: 'image', metric: this.metric.name }, (answer, numbers) => {
      this.asked = null;
      if (answer.type === 'image') {
        const bytes = new Uint8Array(numbers.buffer as ArrayBuffer, numbers.byteOffset, Math.min(answer.size, numbers.byteLength));
        this.put(count, new Blob([bytes], { type: answer.mime === 'image/jpeg' ? 'image/jpeg' : 'image/png' }));
        this.below(form);
      } else if (answer.type === 'refused') {
        this.refused = true;
        say(this.note, [form.file ?? '', answer.error].filter(word => word).join(': '));
      }
    });
  }

  private put(count: number, blob: Blob): void {
    const old = this.picture?.url;
    const url = URL.createObjectURL(blob);
    this.picture = { count, url };
    const element = h('img', { alt: t('Image {name}', { name: this.metric.name }), decoding: 'async' });
    element.onerror = () => {
      this.refused = true;
      this.place.replaceChildren();
      say(this.note, t('The picture is damaged.'));
      show(this.note, true);
      show(this.place, false);
    };
    element.src = url;
    this.place.replaceChildren(element);
    show(this.place, true);
    if (old) {
      URL.revokeObjectURL(old);
    }
  }
}

function table(form: Shown): HTMLElement {
  const counted = new Set(form.curves.map(curve => curve.column));
  const head = form.columns.map((name, i) => h('th', { scope: 'col', 'data-number': counted.has(i) }, name));
  const first = form.total - form.rows.length + 1;
  const rows = form.rows.map((row, i) =>
    h('tr', {}, h('th', { scope: 'row' }, whole(first + i)), ...form.columns.map((_, k) => h('td', { 'data-number': counted.has(k) }, row[k] ?? '')))
  );
  if (form.form === 'row') {
    rows.reverse(); // of what grows the newest are what one looks for
  }
  return h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, '#'), ...head)), h('tbody', {}, ...rows));
}

/** A row per true class; the more of its row a cell has, the darker it is. */
function matrix(labels: readonly string[], values: readonly (readonly number[])[]): HTMLElement {
  const rows = values.map((row, i) => {
    const sum = row.reduce((a, b) => a + Math.abs(b), 0);
    const cells = row.map((value, k) => {
      const part = sum > 0 ? Math.abs(value) / sum : 0;
      const words = t('true {a}, predicted {b}: {n}', { a: labels[i] ?? '', b: labels[k] ?? '', n: number(value) });
      const cell = h('td', { title: words, 'data-diagonal': i === k }, number(value));
      cell.style.setProperty('--part', `${Math.round(part * 100)}%`);
      return cell;
    });
    return h('tr', {}, h('th', { scope: 'row', title: labels[i] ?? '' }, labels[i] ?? ''), ...cells);
  });
  const head = labels.map(label => h('th', { scope: 'col', title: label }, label));
  const corner = h('th', { class: 'corner' }, t('true ↓ predicted →'));
  return h('table', { class: 'matrix' }, h('thead', {}, h('tr', {}, corner, ...head)), h('tbody', {}, ...rows));
}
