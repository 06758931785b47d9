// The head of the panel: status, name, time, why, and the button that stops.

import { button, h, icon, put, say, show, on, type Icon } from './dom.js';
import type { Run } from '../contract.js';
import type { Link } from '../source/source.js';
import type { Store } from './store.js';
import { clock, moment, spoken, t } from './words.js';

const LOOKS: Record<string, [Icon, string]> = {
  Completed: ['check', 'good'],
  Finished: ['check', 'good'],
  Failed: ['cross', 'bad'],
  Canceled: ['slash', 'dim'],
  Running: ['turn', 'live'],
  Starting: ['turn', 'live'],
  Finalizing: ['turn', 'live'],
  Preparing: ['turn', 'wait'],
  Provisioning: ['turn', 'wait'],
  Queued: ['clock', 'wait'],
  NotStarted: ['clock', 'wait'],
  CancelRequested: ['slash', 'wait'],
  NotResponding: ['unknown', 'wait']
};

/** What the head shows beside the run itself. */
export interface Situation {
  link: Link;
  /** a question got no answer */
  waiting: boolean;
  /** stop was asked for and is not done */
  stopping: boolean;
  /** why stop failed */
  failed: string | null;
  /** what tells of the run; a server is meant to be back, a kernel is not */
  teller?: 'kernel' | 'server';
}

export class Header {
  readonly element: HTMLElement;
  private readonly pill = h('span', { class: 'pill' });
  private readonly name = h('span', { class: 'name' });
  private readonly facts = h('div', { class: 'facts' });
  private readonly time = h('span', { class: 'time', role: 'timer', 'aria-live': 'off' });
  private readonly why = h('div', { class: 'why' });
  private readonly notices = h('div', { class: 'notices' });
  private readonly spoken = h('div', { class: 'sr-only', role: 'status', 'aria-live': 'polite' });
  private readonly stop = button(t('Stop'), 'stop', true);
  private readonly sure = h('span', { class: 'sure', role: 'group', 'aria-label': t('Stop this run?') });
  private shownStatus: string | null = null;
  private said = '';
  private drawn: unknown[] = [];

  constructor(
    private readonly store: Store,
    stopped: () => void,
    signal: AbortSignal
  ) {
    put(this.stop, 'class', 'button stop');
    put(this.stop, 'aria-label', t('Stop this run'));
    this.confirmation(stopped, signal);
    const right = h('div', { class: 'right' }, this.time, this.stop, this.sure);
    const title = h('div', { class: 'title' }, this.pill, this.name);
    this.element = h('header', { class: 'head' });
    this.element.append(h('div', { class: 'line' }, title, right), this.facts, this.why, this.notices, this.spoken);
  }

  /** Draw what is known now. */
  draw(situation: Situation): void {
    const run = this.store.run;
    const seen = [run, this.store.problem, ...Object.values(situation)];
    if (seen.length === this.drawn.length && seen.every((part, i) => part === this.drawn[i])) {
      return;
    }
    this.drawn = seen;
    show(this.element, run !== null);
    if (!run) {
      return;
    }
    this.status(run);
    say(this.name, run.name);
    put(this.name, 'title', run.name);
    this.about(run);
    const why = reasonOf(run);
    show(this.why, why !== '');
    this.reason(run, why);
    put(this.why, 'data-look', look(run.shown)[1]);
    this.notice(run, situation);
    const stoppable = run.can_stop && !run.over && situation.link === 'open';
    show(this.stop, stoppable && this.sure.hidden);
    put(this.stop, 'disabled', situation.stopping);
    if (!stoppable) {
      show(this.sure, false);
    }
    this.tick();
  }

  /** The time alone: once a second while the run moves. */
  tick(): void {
    const run = this.store.run;
    const elapsed = this.store.elapsed();
    if (!run) {
      return;
    }
    const shown = elapsed === null ? (run.over ? '' : t('not started')) : clock(elapsed);
    say(this.time, shown);
    put(this.time, 'title', run.started === null ? null : t('started {when}', { when: moment(run.started) }));
    put(this.time, 'aria-label', shown && t('elapsed {time}', { time: shown }));
  }

  private confirmation(stopped: () => void, signal: AbortSignal): void {
    const [yes, no] = [button(t('Stop it'), null, true), button(t('Keep running'), null, true)];
    put(yes, 'class', 'button danger');
    this.sure.append(h('span', { class: 'ask' }, t('Stop this run?')), yes, no);
    show(this.sure, false);
    const asked = (open: boolean): void => {
      show(this.sure, open);
      show(this.stop, !open);
      (open ? no : this.stop).focus();
    };
    on(this.stop, 'click', () => asked(true), signal);
    on(no, 'click', () => asked(false), signal);
    on(yes, 'click', () => (asked(false), stopped()), signal);
    on(this.sure, 'keydown', event => event.key === 'Escape' && asked(false), signal);
  }

  private status(run: Run): void {
    if (run.shown === this.shownStatus) {
      return;
    }
    this.shownStatus = run.shown;
    const [picture, colour] = look(run.shown);
    this.pill.replaceChildren(icon(picture), h('span', {}, spoken(run.shown)));
    put(this.pill, 'data-look', colour);
    this.announce(t('Run {name}: {status}', { name: run.name, status: spoken(run.shown) }));
  }

  /** Why it waits or ended; the option that would start it stands out. */
  private reason(run: Run, why: string): void {
    const queue = run.over ? null : run.queue;
    if (!queue) {
      delete this.why.dataset['key'];
      say(this.why, why);
      return;
    }
    const cure = queue.cure ?? '';
    const rest = cure ? why.replace(`; ${cure} would start it now`, '') : why;
    const key = [queue.place, cure, why].join('\n');
    if (key !== this.why.dataset['key']) {
      this.why.dataset['key'] = key;
      this.why.replaceChildren(h('b', {}, t('{place} in the queue', { place: queue.place })), ` · ${rest}`);
      if (cure) {
        this.why.append(' · ', h('code', {}, cure), t(' would start it now'));
      }
    }
  }

  private about(run: Run): void {
    const words = [`${run.experiment} → ${run.target}`, run.id === run.name ? '' : run.id, run.by ? t('by {user}', { user: run.by }) : '', begun(run)];
    const shown = words.filter(word => word);
    if (this.facts.childElementCount !== shown.length) {
      this.facts.replaceChildren(...shown.map(() => h('span')));
    }
    shown.forEach((word, i) => say(this.facts.children[i] as Element, word));
    put(this.facts, 'title', run.start ?? null);
  }

  private notice(run: Run, situation: Situation): void {
    const notes: [string, string][] = [];
    if (this.store.problem) {
      notes.push(['bad', this.store.problem]);
    }
    if (situation.link === 'lost') {
      const server = situation.teller === 'server';
      notes.push(['wait', server ? LOST_SERVER() : run.over ? LOST_OVER() : LOST()]);
    } else if (situation.waiting && situation.teller === 'server') {
      notes.push(['wait', SLOW()]);
    } else if (situation.waiting) {
      notes.push(['wait', situation.stopping ? BUSY_STOP() : BUSY()]);
    }
    if (situation.failed) {
      notes.push(['bad', t('It was not stopped: {why}', { why: situation.failed })]);
    }
    notes.push(...run.warnings.map((text): [string, string] => ['wait', text]));
    const key = JSON.stringify(notes);
    if (key !== this.notices.dataset['key']) {
      this.notices.dataset['key'] = key;
      const shown = notes.map(([kind, text]) => h('div', { 'data-look': kind }, icon('warn'), h('span', {}, text)));
      this.notices.replaceChildren(...shown);
      this.announce(notes[0]?.[1] ?? '');
    }
    show(this.notices, notes.length > 0);
  }

  private announce(text: string): void {
    if (text && text !== this.said) {
      this.said = text;
      say(this.spoken, text);
    }
  }
}

const LOST = (): string =>
  t('The kernel that fed this view is gone: it shows what it saw last. The run itself goes on. Run its cell’s “_run” or “%mlrun show” for a view that moves.');
const LOST_OVER = (): string => t('The kernel that fed this view is gone: it shows the run as it ended.');
const LOST_SERVER = (): string => t('The server does not answer: this is what it said last. It goes on by itself as soon as it does.');
const SLOW = (): string => t('Waiting for the server.');
const BUSY = (): string => t('Waiting for the kernel: it is busy with another cell. Status, charts and log go on.');
const BUSY_STOP = (): string => t('Waiting for the kernel: it is busy with another cell, and stops the run as soon as it answers.');

export function look(status: string): [Icon, string] {
  return Object.hasOwn(LOOKS, status) ? (LOOKS[status] as [Icon, string]) : ['unknown', 'dim'];
}

/** `warm start`, `cold start`; the reason is a title, and among the details. */
function begun(run: Run): string {
  return run.start ? (run.start.startsWith('warm') ? t('warm start') : t('cold start')) : '';
}

/** Why it is as it is; nothing where the status says it all. */
export function reasonOf(run: Run): string {
  if (run.over) {
    return run.shown === 'Completed' ? '' : (run.reason ?? '');
  }
  return run.waiting ?? run.reason ?? '';
}
