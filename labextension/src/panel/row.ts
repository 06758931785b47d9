// One line of the list: an experiment's head, or a run with its curve.  Whatever a run says becomes text.

import type { RunRow } from '../api.js';
import { h, icon, put, say, show } from '../view/dom.js';
import { look } from '../view/header.js';
import { clock, moment, plural, spoken, t, whole } from '../view/words.js';
import { sparkPath } from './spark.js';
import type { Group } from './tree.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDE = 46;
const HIGH = 14;

/** What a line says of its place. */
export interface Place {
  level: number;
  position: number;
  size: number;
  selected: boolean;
  current: boolean;
}

/** How long it has run, or ran; null before it began. */
export function elapsedOf(run: RunRow, now: number): number | null {
  return run.started === null ? null : Math.max(0, (run.ended ?? now) - run.started);
}

/** Seconds that are left, where that can be said. */
export function leftOf(run: RunRow, now: number): number | null {
  const elapsed = elapsedOf(run, now);
  const { fraction } = run;
  // of the first percent nobody can tell
  return run.over || elapsed === null || fraction === null || fraction < 0.01 || fraction > 1 ? null : (elapsed / fraction) * (1 - fraction);
}

/** Why it is as it is, in words; empty where there is nothing to say. */
export function whyOf(run: RunRow): string {
  if (run.over) {
    return run.shown === 'Completed' ? '' : (run.reason ?? '');
  }
  return run.waiting ?? (run.shown === 'Running' ? '' : (run.reason ?? ''));
}

export class RunLine {
  readonly element = h('div', { class: 'mlr-line mlr-item', role: 'treeitem' });
  private readonly mark = h('span', { class: 'mark' });
  /** the status in a word, for those who do not see the picture */
  private readonly word = h('span', { class: 'sr-only' });
  private readonly name = h('bdi', { class: 'name' });
  private readonly time = h('span', { class: 'time' });
  private readonly path = document.createElementNS(SVG, 'path');
  private readonly spark = document.createElementNS(SVG, 'svg');
  private readonly metric = h('bdi', { class: 'metric' });
  private readonly about = h('bdi', { class: 'about' });
  private readonly bar = h('span', { class: 'bar' });
  private run: RunRow | null = null;

  constructor() {
    put(this.spark, 'viewBox', `-1 -1 ${WIDE + 2} ${HIGH + 2}`);
    put(this.spark, 'class', 'curve');
    put(this.spark, 'aria-hidden', 'true');
    this.spark.append(this.path);
    const above = h('span', { class: 'above' }, this.name, this.time);
    const below = h('span', { class: 'below' }, null, this.metric, this.about);
    below.prepend(this.spark);
    this.element.append(this.mark, this.word, h('span', { class: 'words' }, above, below), this.bar);
  }

  draw(run: RunRow | null, place: Place, now: number): void {
    placed(this.element, place);
    if (run !== this.run || !run) {
      this.run = run;
      this.element.classList.toggle('unknown', run === null);
      put(this.element, 'data-run', run?.id);
      if (!run) {
        put(this.element, 'aria-label', t('Loading …'));
        return;
      }
      // a line is called by what stands in it
      put(this.element, 'aria-label', null);
      this.fill(run);
    }
    this.tick(now);
  }

  /** What changes with time alone. */
  tick(now: number): void {
    const { run } = this;
    if (!run) {
      return;
    }
    const elapsed = elapsedOf(run, now);
    const left = leftOf(run, now);
    say(this.time, elapsed === null ? '' : clock(elapsed));
    const progress = run.over ? '' : [run.progress, left === null ? '' : t('{time} left', { time: clock(left) })].filter(Boolean).join(' · ');
    const why = whyOf(run);
    const quiet = run.primary || why || progress ? '' : moment(run.created);
    say(this.about, why || progress || quiet);
  }

  private fill(run: RunRow): void {
    const [picture, colour] = look(run.shown);
    put(this.element, 'data-look', colour);
    if (this.mark.getAttribute('data-icon') !== picture) {
      put(this.mark, 'data-icon', picture);
      this.mark.replaceChildren(icon(picture));
    }
    say(this.word, `${spoken(run.shown)}: `);
    const why = whyOf(run);
    put(this.mark, 'title', why ? `${spoken(run.shown)}: ${why}` : spoken(run.shown));
    say(this.name, run.name);
    put(this.element, 'title', hint(run));
    const { primary } = run;
    const d = primary?.spark && primary.spark.length > 1 ? sparkPath(primary.spark, WIDE, HIGH) : '';
    put(this.path, 'd', d);
    put(this.spark, 'hidden', d === '');
    // why it failed says more than how well it did until then
    const told = primary !== null && !(run.over && why);
    show(this.metric, told);
    this.metric.replaceChildren(...(told ? [h('span', { class: 'of' }, primary.name), ` ${primary.last}`] : []));
    const part = run.over ? null : run.fraction;
    show(this.bar, part !== null);
    this.bar.style.width = part === null ? '' : `${Math.min(1, Math.max(0, part)) * 100}%`;
  }
}

export class GroupLine {
  readonly element = h('div', { class: 'mlr-line mlr-group', role: 'treeitem' });
  private readonly name = h('bdi', { class: 'name' });
  private readonly active = h('span', { class: 'badge active', 'aria-hidden': 'true' });
  private readonly count = h('span', { class: 'badge', 'aria-hidden': 'true' });
  /** what the two numbers are, for those who do not see their colours */
  private readonly words = h('span', { class: 'sr-only' });

  constructor() {
    this.element.append(icon('down'), this.name, this.active, this.count, this.words);
  }

  draw(group: Group, place: Place): void {
    placed(this.element, place);
    const name = group.name ?? '';
    put(this.element, 'aria-expanded', String(group.open));
    put(this.element, 'data-group', name);
    put(this.element, 'title', name);
    say(this.name, name);
    say(this.count, whole(group.runs));
    put(this.count, 'title', plural(group.runs, '{n} run', '{n} runs'));
    show(this.active, group.active > 0);
    say(this.active, whole(group.active));
    put(this.active, 'title', plural(group.active, '{n} active run', '{n} active runs'));
    const active = group.active ? `, ${plural(group.active, '{n} active', '{n} active')}` : '';
    say(this.words, `, ${plural(group.runs, '{n} run', '{n} runs')}${active}`);
  }
}

function placed(element: HTMLElement, place: Place): void {
  put(element, 'aria-level', place.level);
  put(element, 'aria-posinset', place.position);
  put(element, 'aria-setsize', place.size);
  put(element, 'aria-selected', String(place.selected));
  put(element, 'tabindex', place.current ? 0 : -1);
}

/** What is read when the pointer rests on a run. */
function hint(run: RunRow): string {
  const why = whyOf(run);
  const pairs = (title: string, all: Record<string, string>): string[] => {
    const named = Object.entries(all).slice(0, 8).map(([name, value]) => (value ? `${name}=${value}` : name));
    return named.length ? [`${title} ${named.join(', ')}`] : [];
  };
  return [
    run.name,
    [spoken(run.shown), why].filter(Boolean).join(': '),
    run.name === run.id ? '' : run.id,
    t('Experiment: {name}', { name: run.experiment }),
    t('Created: {time}', { time: moment(run.created) }),
    t('Compute: {name}', { name: run.target }),
    ...pairs(t('Metrics:'), run.metrics),
    ...pairs(t('Parameters:'), run.parameters),
    ...pairs(t('Tags:'), run.tags)
  ].filter(Boolean).map(line => line.slice(0, 300)).join('\n');
}
