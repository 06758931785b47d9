// Text with line numbers: two text nodes, however long it is, and a mark on the line that is meant.

import { h } from '../view/dom.js';
import { t, whole } from '../view/words.js';

/** Pixels of a line: style/page/code.css has the same. */
const LINE = 18;
/** Lines that are shown; a browser is slow with more in one text. */
const MOST = 20_000;

/** *text* with numbers from *first* on; *marked* is the number of the line that is meant. */
export function codeView(text: string, label: string, marked: number | null = null, first = 1): HTMLElement {
  const all = text.replace(/\r\n?/g, '\n').replace(/\n$/, '').split('\n');
  const lines = all.slice(0, MOST);
  const gutter = h('pre', { class: 'gutter', 'aria-hidden': 'true' }, lines.map((_, i) => first + i).join('\n'));
  const code = h('pre', { class: 'text' }, lines.join('\n'));
  const sheet = h('div', { class: 'code-sheet' }, gutter, code);
  if (marked !== null && marked >= first && marked < first + lines.length) {
    const bar = h('div', { class: 'marked', 'aria-hidden': 'true' });
    bar.style.top = `${(marked - first) * LINE}px`;
    sheet.append(bar);
  }
  const view = h('div', { class: 'code', tabindex: 0, role: 'region', 'aria-label': label }, sheet);
  if (all.length > MOST) {
    view.append(h('p', { class: 'note' }, t('The first {n} lines are shown.', { n: whole(MOST) })));
  }
  return view;
}

/** Scroll a `codeView` so that its marked line is in sight. */
export function reveal(view: HTMLElement, line: number): void {
  view.scrollTop = Math.max(0, (line - 1) * LINE - view.clientHeight / 3);
}

/** The lines around one of them, for a glance. */
export function excerpt(text: string, line: number, around = 3): { text: string; first: number } | null {
  const lines = text.split('\n');
  if (line < 1 || line > lines.length) {
    return null;
  }
  const first = Math.max(1, line - around);
  return { text: lines.slice(first - 1, line + around).join('\n'), first };
}
