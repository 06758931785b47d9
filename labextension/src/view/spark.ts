// A small curve without axes, drawn as SVG: what it holds now, and under the pointer what it held.

import { h, on, put, say } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDE = 1000;
const HIGH = 100;

/** What is drawn: x rises. */
export interface Shape {
  x: ArrayLike<number>;
  y: ArrayLike<number>;
  /** the upper end of the axis, at least */
  top: number;
  /** the lower end; null: where the values are lowest */
  bottom: number | null;
}

export class Spark {
  readonly element: HTMLElement;
  private readonly value = h('span', { class: 'value' });
  private readonly foot = h('div', { class: 'foot' });
  private readonly line = node('path', 'curve');
  private readonly area = node('path', 'area');
  private readonly mark = node('path', 'mark');
  private readonly svg = node('svg', 'shape');
  private shape: Shape | null = null;
  private words: (index: number) => string = () => '';
  private last = '';

  constructor(label: string, signal: AbortSignal) {
    put(this.svg, 'viewBox', `0 0 ${WIDE} ${HIGH}`);
    put(this.svg, 'preserveAspectRatio', 'none');
    put(this.svg, 'role', 'img');
    this.svg.append(this.area, this.line, this.mark);
    const top = h('div', { class: 'top' }, h('span', { class: 'metric', title: label }, label), this.value);
    this.element = h('div', { class: 'spark' }, top);
    this.element.append(this.svg, this.foot);
    const place = this.svg as unknown as HTMLElement;
    on(place, 'pointermove', event => this.point(event), signal);
    on(place, 'pointerleave', () => this.leave(), signal);
  }

  /** Draw *shape*; *last* is its value now, *words* say a point, *about* stands below. */
  draw(shape: Shape, last: string, words: (index: number) => string, about: string): void {
    [this.shape, this.last, this.words] = [shape, last, words];
    const path = outline(shape);
    put(this.line, 'd', path);
    // back to where the line begins: what is not finite has no place, and one point is drawn over the whole width
    put(this.area, 'd', path && `${path}V${HIGH}H${/^M(\S+)/.exec(path)?.[1] ?? 0}Z`);
    put(this.svg, 'aria-label', about ? `${last}, ${about}` : last);
    say(this.foot, about);
    this.leave();
  }

  private leave(): void {
    put(this.mark, 'd', null);
    say(this.value, this.last);
  }

  private point(event: PointerEvent): void {
    const { shape } = this;
    const box = this.svg.getBoundingClientRect();
    if (!shape || shape.x.length === 0 || box.width === 0) {
      return;
    }
    const wanted = ((event.clientX - box.left) / box.width) * WIDE;
    let best = 0;
    for (let i = 1; i < shape.x.length; i++) {
      if (Math.abs(across(shape, i) - wanted) < Math.abs(across(shape, best) - wanted)) {
        best = i;
      }
    }
    put(this.mark, 'd', `M${across(shape, best)} 0V${HIGH}`);
    say(this.value, this.words(best));
  }
}

function node(name: 'svg' | 'path', kind: string): SVGElement {
  const element = document.createElementNS(SVG, name);
  element.setAttribute('class', kind);
  return element;
}

function across({ x }: Shape, index: number): number {
  const [first, last] = [x[0] as number, x[x.length - 1] as number];
  const part = last > first ? ((x[index] as number) - first) / (last - first) : 1;
  return Math.round(part * WIDE * 10) / 10;
}

/** The line as a path; what is no number is passed over. */
export function outline(shape: Shape): string {
  const finite = Array.from(shape.y).filter(Number.isFinite);
  if (finite.length === 0) {
    return '';
  }
  let low = Infinity;
  let high = shape.top;
  for (const value of finite) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  low = shape.bottom ?? low;
  const size = high - low;
  const parts: string[] = [];
  for (let i = 0; i < shape.x.length; i++) {
    const value = shape.y[i] as number;
    if (Number.isFinite(value)) {
      // nothing but the lower end lies there; other values that are all equal, in the middle
      const level = value === shape.bottom ? 0 : 0.5;
      const part = size > 0 && Number.isFinite(size) ? (value - low) / size : level;
      const height = Math.round((HIGH - 3 - part * (HIGH - 6)) * 10) / 10;
      parts.push(`${across(shape, i)} ${height}`);
    }
  }
  // one point is a line, too
  const begin = parts.length === 1 ? `0 ${(parts[0] as string).split(' ')[1]}L` : '';
  return `M${begin}${parts.join('L')}`;
}
