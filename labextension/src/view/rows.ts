// The rows of the log that are in the page: those in sight and a few more, kept while they stay in sight.

import { parse, type Colour, type Style } from './ansi.js';
import { h, put } from './dom.js';
import { t } from './words.js';

/** What a row shows; a row is made anew only when this changes. */
export interface Wanted {
  number: number;
  /** undefined while it is asked for */
  text: string | undefined;
  /** the text being searched for, in lower case */
  search: string;
  found: boolean;
}

interface Row {
  element: HTMLElement;
  key: string;
}

export class Rows {
  readonly element = h('div', { class: 'rows' });
  private readonly shown = new Map<number, Row>();

  /** Make the page show these rows, in their order.  Rows that stay are left alone, so that a selection stays. */
  draw(wanted: readonly Wanted[]): void {
    const kept = new Set(wanted.map(row => row.number));
    for (const [line, row] of this.shown) {
      if (!kept.has(line)) {
        row.element.remove();
        this.shown.delete(line);
      }
    }
    let before: Element | null = null;
    for (const want of wanted) {
      const element = this.row(want);
      const place: Element | null = before ? before.nextElementSibling : this.element.firstElementChild;
      if (place !== element) {
        this.element.insertBefore(element, place);
      }
      before = element;
    }
  }

  /** The row of a line, when it is in the page. */
  at(line: number): HTMLElement | undefined {
    return this.shown.get(line)?.element;
  }

  private row(want: Wanted): HTMLElement {
    const key = `${want.found ? 1 : 0}${want.search}\n${want.text ?? '\n'}`;
    let row = this.shown.get(want.number);
    if (!row) {
      row = { element: h('div', { class: 'row', 'data-n': want.number + 1 }), key: '' };
      this.shown.set(want.number, row);
    }
    if (row.key !== key) {
      row.key = key;
      put(row.element, 'data-found', want.found);
      put(row.element, 'data-missing', want.text === undefined);
      row.element.replaceChildren(...(want.text === undefined ? [t('…')] : content(want.text, want.search)));
    }
    return row.element;
  }
}

/** A line as text nodes and styled spans; what is searched for is marked, across colours too. */
function content(line: string, search: string): Node[] {
  const pieces = parse(line);
  const marks = search ? places(pieces.map(p => p.text).join(''), search) : [];
  const nodes: Node[] = [];
  let start = 0;
  for (const { text, style } of pieces) {
    const inside = styled(style);
    cut(text, start, marks).forEach(([part, marked]) => inside.append(marked ? h('mark', {}, part) : part));
    start += text.length;
    nodes.push(inside);
  }
  return nodes;
}

function places(text: string, search: string): [number, number][] {
  const found: [number, number][] = [];
  const lower = text.toLowerCase();
  // some letters change their length: marks would be off by one, so none are made
  if (lower.length === text.length) {
    for (let at = lower.indexOf(search); at >= 0 && found.length < 200; at = lower.indexOf(search, at + search.length)) {
      found.push([at, at + search.length]);
    }
  }
  return found;
}

function cut(text: string, start: number, marks: readonly [number, number][]): [string, boolean][] {
  const parts: [string, boolean][] = [];
  let at = 0;
  for (const [from, to] of marks) {
    const [a, b] = [Math.max(from - start, at), Math.min(to - start, text.length)];
    if (a < b) {
      if (at < a) {
        parts.push([text.slice(at, a), false]);
      }
      parts.push([text.slice(a, b), true]);
      at = b;
    }
  }
  if (at < text.length) {
    parts.push([text.slice(at), false]);
  }
  return parts;
}

function styled(style: Style): HTMLElement | DocumentFragment {
  const names = (['bold', 'dim', 'italic', 'underline', 'strike'] as const).filter(name => style[name]);
  const fg: Paint = style.inverse ? (style.bg ?? 'bg') : style.fg;
  const bg: Paint = style.inverse ? (style.fg ?? 'fg') : style.bg;
  if (!names.length && fg === null && bg === null) {
    return document.createDocumentFragment();
  }
  const classes = [...names.map(name => `a-${name}`), named('fg', fg), named('bg', bg)].filter(name => name);
  const element = h('span', { class: classes.join(' ') || null });
  if (Array.isArray(fg)) {
    element.style.color = rgb(fg);
  }
  if (Array.isArray(bg)) {
    element.style.backgroundColor = rgb(bg);
  }
  return element;
}

type Paint = Colour | 'fg' | 'bg' | null;

function named(side: 'fg' | 'bg', paint: Paint): string {
  return typeof paint === 'number' || typeof paint === 'string' ? `a-${side}-${paint}` : '';
}

function rgb(colour: readonly number[]): string {
  return `rgb(${colour.map(Number).join(', ')})`;
}
