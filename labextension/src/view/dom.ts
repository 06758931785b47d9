// Elements of the page.  What comes from a run becomes text nodes and attributes' values, never markup.

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined;

/** An element with attributes (`true` sets, `false` and null leave out) and children; `class`, `aria-…` as in HTML. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    put(element, name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set, change or remove an attribute. */
export function put(element: Element, name: string, value: Value): void {
  if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) {
      element.setAttribute(name, text);
    }
  }
}

/** Set the text, when it differs: a text that stays keeps its selection. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Show or hide. */
export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) {
    element.hidden = !shown;
  }
}

/** Hear an event until *signal* ends. */
export function on<K extends keyof HTMLElementEventMap>(
  element: HTMLElement,
  event: K,
  heard: (event: HTMLElementEventMap[K]) => void,
  signal: AbortSignal,
  options: AddEventListenerOptions = {}
): void {
  element.addEventListener(event, heard as EventListener, { ...options, signal });
}

const SVG = 'http://www.w3.org/2000/svg';
// of 16 by 16, drawn with a line of 1.5
const PATHS = {
  check: 'M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5M5.2 8.2l2 2 3.8-4.2',
  cross: 'M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4',
  slash: 'M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5M3.7 12.3l8.6-8.6',
  clock: 'M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5M8 4.6V8l2.3 1.5',
  unknown: 'M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5M6.3 6.3c.2-2 3.5-1.9 3.4.1 0 1.3-1.7 1.3-1.7 2.6M8 11.2v.1',
  turn: 'M8 1.75a6.25 6.25 0 0 1 6.25 6.25',
  stop: 'M4.25 4.25h7.5v7.5h-7.5z',
  up: 'M4 10l4-4 4 4',
  down: 'M4 6l4 4 4-4',
  end: 'M4 4l4 4 4-4M4 12h8',
  copy: 'M5.75 5.75h7.5v7.5h-7.5zM10.25 5.75v-3h-7.5v7.5h3',
  wrap: 'M2.5 4h11M2.5 8h9a2.25 2.25 0 0 1 0 4.5h-3M10.25 10.75l-1.75 1.75 1.75 1.75M2.5 12h3',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.4 10.4l3.3 3.3',
  warn: 'M8 2.2l6.3 11.2H1.7zM8 6.5v3.2M8 11.6v.1',
  link: 'M8 4.5h-4.25v8h8v-4.25M9.5 2.5h4v4M13.25 2.75l-6 6',
  close: 'M4.25 4.25l7.5 7.5M11.75 4.25l-7.5 7.5'
} as const;
export type Icon = keyof typeof PATHS;

/** A small picture, not read aloud: a word stands beside it, or in the button's label. */
export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [key, value] of [['viewBox', '0 0 16 16'], ['aria-hidden', 'true'], ['class', `icon icon-${name}`]]) {
    svg.setAttribute(key as string, value as string);
  }
  if (name === 'turn') {
    const ring = document.createElementNS(SVG, 'circle');
    for (const [key, value] of [['cx', '8'], ['cy', '8'], ['r', '6.25'], ['class', 'ring']]) {
      ring.setAttribute(key as string, value as string);
    }
    svg.append(ring);
  }
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with a picture and a name. */
export function button(label: string, picture: Icon | null, shown = false): HTMLButtonElement {
  const element = h('button', { type: 'button', class: shown ? 'button' : 'button square' });
  if (picture) {
    element.append(icon(picture));
  }
  if (shown) {
    element.append(h('span', {}, label));
  } else {
    put(element, 'aria-label', label);
    put(element, 'title', label);
  }
  return element;
}

/** Copy text; false when the browser refuses. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // pages that are not served safely have no clipboard; the old way needs a field
    const field = h('textarea', { style: 'position:fixed;opacity:0' });
    field.value = text;
    document.body.append(field);
    field.select();
    // the only way there; it is deprecated, and stays in browsers
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}
