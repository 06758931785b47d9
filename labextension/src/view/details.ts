// What the run was given and where it is: tables of parameters, tags, inputs, facts and links.

import { h } from './dom.js';
import type { Run } from '../contract.js';
import type { Store } from './store.js';
import { moment, spoken, t } from './words.js';

type Cell = string | Node;

export class Details {
  readonly element = h('section', { class: 'details', 'aria-label': t('Details') });
  private drawn: Run | null = null;

  constructor(private readonly store: Store) {}

  draw(): void {
    const run = this.store.run;
    // a frame that changes the run brings another object
    if (!run || run === this.drawn) {
      return;
    }
    this.drawn = run;
    this.element.replaceChildren(
      table(t('Parameters'), run.parameters, t('This run has no parameters.')),
      ...(run.tags.length ? [table(t('Tags'), run.tags)] : []),
      ...(run.inputs.length ? [list(t('Inputs'), run.inputs)] : []),
      table(t('Run'), facts(run)),
      ...(run.links.length ? [list(t('Links'), run.links.map(link))] : [])
    );
  }
}

function facts(run: Run): [string, string][] {
  const all: [string, string | null][] = [
    [t('Id'), run.id],
    [t('Experiment'), run.experiment],
    [t('Target'), run.target],
    [t('Status'), spoken(run.shown)],
    [t('By'), run.by],
    [t('Created'), moment(run.created)],
    [t('Started'), moment(run.started)],
    [t('Ended'), moment(run.ended)],
    [t('Reason'), run.reason],
    [t('Start'), run.start ?? null]
  ];
  return all.filter((row): row is [string, string] => Boolean(row[1]));
}

function table(title: string, rows: readonly (readonly [string, Cell])[], none = ''): HTMLElement {
  const body = rows.map(([name, value]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value)));
  const content = rows.length ? h('table', {}, h('tbody', {}, ...body)) : h('p', { class: 'none' }, none);
  return h('div', { class: 'block' }, h('h4', {}, title), content);
}

function list(title: string, items: readonly Cell[]): HTMLElement {
  return h('div', { class: 'block' }, h('h4', {}, title), h('ul', {}, ...items.map(item => h('li', {}, item))));
}

/** A link to the web; any other address is text. */
export function link([label, href]: readonly [string, string]): Cell {
  let address: URL;
  try {
    address = new URL(href);
  } catch {
    return `${label}: ${href}`;
  }
  if (address.protocol !== 'https:' && address.protocol !== 'http:') {
    return `${label}: ${href}`;
  }
  return h('a', { href: address.href, target: '_blank', rel: 'noopener noreferrer', title: address.href }, label);
}
