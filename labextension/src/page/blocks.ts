// The blocks of an overview: a title, and a table, a list or anything else below it.

import { h } from '../view/dom.js';

export type Cell = string | Node;
export type Fact = readonly [name: string, value: Cell | null | undefined];

let count = 0;

/** A block with a title; null where it has no content. */
export function block(title: string, ...content: (Node | string | null | false)[]): HTMLElement | null {
  const there = content.filter(Boolean);
  const id = `jupyter-mlrun-block-${++count}`;
  return there.length ? h('section', { class: 'block', 'aria-labelledby': id }, h('h3', { id }, title), ...there) : null;
}

/** Names and values; rows without a value are left out, and a table without rows is null. */
export function table(rows: readonly Fact[]): HTMLElement | null {
  const there = rows.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const body = there.map(([name, value]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value)));
  return body.length ? h('table', { class: 'facts-table' }, h('tbody', {}, ...body)) : null;
}

/** A list; null without items. */
export function list(items: readonly Cell[]): HTMLElement | null {
  return items.length ? h('ul', { class: 'plain' }, ...items.map(item => h('li', {}, item))) : null;
}
