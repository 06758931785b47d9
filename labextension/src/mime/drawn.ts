// A run as its notebook has it: drawn of text nodes and SVG, without a server and without a kernel.

import { sparkPath } from '../panel/spark.js';
import { h, icon } from '../view/dom.js';
import { look } from '../view/header.js';
import { clock, moment, spoken, t, whole } from '../view/words.js';
import type { SavedMetric, Static } from './data.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDE, HIGH] = [200, 40];

/** The saved part; *note* says why it is no more than that. */
export function drawn(run: string, kept: Static | null, note: string): HTMLElement {
  const element = h('div', { class: 'mlr-live mlr-saved', role: 'region', 'aria-label': t('Run {name}', { name: run }) });
  if (note) {
    element.append(h('div', { class: 'saved-note', 'data-look': 'wait', role: 'status' }, icon('warn'), h('span', {}, note)));
  }
  if (!kept) {
    element.append(h('div', { class: 'saved-head' }, t('Run {name}', { name: run })));
    return element;
  }
  element.append(head(run, kept));
  if (kept.reason) {
    element.append(h('div', { class: 'saved-why', 'data-look': look(kept.status)[1] }, kept.reason));
  }
  element.append(...kept.warnings.map(text => h('div', { class: 'saved-why', 'data-look': 'wait' }, text)));
  const chips = [...kept.parameters.map(([k, v]) => `${k} = ${v}`), ...kept.tags.map(([k, v]) => (v ? `${k}: ${v}` : k))];
  if (chips.length) {
    element.append(h('ul', { class: 'saved-chips' }, ...chips.map(chip => h('li', {}, chip))));
  }
  if (kept.metrics.length) {
    const more = kept.more ? [h('div', { class: 'saved-more' }, t('and {n} more metrics', { n: whole(kept.more) }))] : [];
    element.append(h('div', { class: 'saved-metrics' }, ...kept.metrics.map(curve), ...more));
  }
  if (kept.log.length) {
    const label = t('Last lines of the log');
    element.append(h('pre', { class: 'saved-log', tabindex: 0, role: 'region', 'aria-label': label }, kept.log.join('\n')));
  }
  return element;
}

function head(run: string, kept: Static): HTMLElement {
  const [picture, kind] = look(kept.status);
  const pill = h('span', { class: 'saved-pill', 'data-look': kind }, icon(picture === 'turn' ? 'clock' : picture), spoken(kept.status));
  const facts = [
    `${kept.experiment} → ${kept.target}`,
    run === kept.title ? '' : run,
    kept.elapsed === null ? t('not started') : clock(kept.elapsed),
    kept.saved === null ? '' : t('as of {when}', { when: moment(kept.saved) })
  ];
  const line = facts.filter(fact => fact).join(' · ');
  return h('div', { class: 'saved-head' }, pill, h('b', {}, kept.title), h('div', { class: 'saved-facts' }, line));
}

function curve(metric: SavedMetric): HTMLElement {
  const top = h('div', { class: 'saved-top' }, h('span', {}, metric.name), h('b', {}, metric.last));
  const card = h('div', { class: 'saved-metric' }, top);
  const path = sparkPath(metric.points, WIDE, HIGH);
  if (path) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `-1 -2 ${WIDE + 2} ${HIGH + 4}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', t('{name}: {n} points', { name: metric.name, n: whole(metric.count) }));
    const line = document.createElementNS(SVG, 'path');
    line.setAttribute('d', path);
    svg.append(line);
    card.append(svg);
  }
  return card;
}
