// What differs between the code of two runs: values, and files with their lines.

import type { Diff, FileDiff, ParameterDiff } from '../api.js';
import { h } from '../view/dom.js';
import { plural, t } from '../view/words.js';
import { block } from './blocks.js';
import { blocksOf, counts, numbers, type Block } from './diff.js';

const SIGNS = { added: '+', removed: '−', same: '', hunk: '', note: '' } as const;
const WORDS = { added: 'added', removed: 'removed', changed: 'changed' } as const;
/** With no more files than these, all are open. */
const FEW = 8;

export function diffView(diff: Diff): HTMLElement {
  const view = h('div', { class: 'diff' });
  const values = [
    block(t('Parameters that differ'), diff.parameters.length > 0 && pairs(diff.parameters)),
    block(t('Environment that differs'), diff.environment.length > 0 && pairs(diff.environment))
  ];
  const same = plural(diff.same, 'One file is the same.', '{n} files are the same.');
  const changed = diff.files.length
    ? plural(diff.files.length, 'One file differs.', '{n} files differ.')
    : t('The code is the same.');
  view.append(h('p', { class: 'note', role: 'status' }, diff.same ? `${changed} ${same}` : changed));
  view.append(...values.filter(one => one !== null));
  view.append(...diff.files.map(file => fileView(file, diff.files.length <= FEW)));
  return view;
}

function pairs(rows: readonly ParameterDiff[]): HTMLElement {
  const head = h('tr', {}, ...[t('Name'), t('There'), t('Here')].map(word => h('th', { scope: 'col' }, word)));
  const body = rows.map(({ name, a, b }) =>
    h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, a ?? '–'), h('td', {}, b ?? '–'))
  );
  return h('table', { class: 'pairs' }, h('thead', {}, head), h('tbody', {}, ...body));
}

function fileView(file: FileDiff, open: boolean): HTMLElement {
  const blocks = file.diff ? blocksOf(file.diff) : [];
  const [added, removed] = counts(blocks);
  const summary = h(
    'summary',
    {},
    h('span', { class: 'path' }, file.path),
    h('span', { class: 'kind', 'data-kind': file.status }, t(WORDS[file.status])),
    added > 0 && h('span', { class: 'plus' }, `+${added}`),
    removed > 0 && h('span', { class: 'minus' }, `−${removed}`)
  );
  const details = h('details', { class: 'file-diff', open }, summary);
  // the lines of files that are closed are made when they are opened
  const fill = (): void => {
    if (details.open && details.childElementCount === 1) {
      details.append(file.why ? h('p', { class: 'note' }, t('No lines: {why}.', { why: file.why })) : lines(blocks, file.path));
    }
  };
  details.addEventListener('toggle', fill);
  fill();
  return details;
}

function lines(blocks: readonly Block[], path: string): HTMLElement {
  const rows = blocks.map(one => {
    const count = one.lines.length;
    const sign = SIGNS[one.kind];
    return h(
      'div',
      { class: 'chunk', 'data-kind': one.kind },
      h('pre', { class: 'gutter', 'aria-hidden': 'true' }, numbers(one.old, count)),
      h('pre', { class: 'gutter', 'aria-hidden': 'true' }, numbers(one.new, count)),
      h('pre', { class: 'sign' }, Array<string>(count).fill(sign).join('\n')),
      h('pre', { class: 'text' }, one.lines.join('\n'))
    );
  });
  const sheet = h('div', { class: 'chunks' }, ...rows);
  return h('div', { class: 'code', tabindex: 0, role: 'region', 'aria-label': t('Differences of {path}', { path }) }, sheet);
}
