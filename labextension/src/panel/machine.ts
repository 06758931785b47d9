// This machine, below the list: GPUs, processors, memory, disk, and what each compute does.

import type { Machine, Queue } from '../api.js';
import type { HttpServer } from '../source/http.js';
import { h, icon, on, put, show } from '../view/dom.js';
import { bytes, plural, t } from '../view/words.js';

/** Waiting runs that are named. */
const MOST = 20;

export class MachineView {
  readonly element = h('section', { class: 'mlr-machine' });
  private readonly head = h('button', { type: 'button', class: 'fold', 'aria-expanded': 'true' });
  private readonly brief = h('span', { class: 'brief' });
  private readonly body = h('div', { class: 'inside' });
  private end: (() => void) | null = null;
  private seen = false;
  private opened = true;
  private drawn = '';

  constructor(
    private readonly server: HttpServer,
    private readonly open: (run: string) => void,
    private readonly folded: (open: boolean) => void,
    signal: AbortSignal
  ) {
    put(this.element, 'aria-label', t('This machine'));
    put(this.body, 'id', 'jupyter-mlrun-machine');
    put(this.head, 'aria-controls', 'jupyter-mlrun-machine');
    this.head.append(icon('down'), h('span', { class: 'title' }, t('This machine')), this.brief);
    this.element.append(this.head, this.body);
    this.body.append(h('p', { class: 'note' }, t('Loading …')));
    on(this.head, 'click', () => {
      this.fold(!this.opened);
      this.folded(this.opened);
    }, signal);
    signal.addEventListener('abort', () => this.quiet());
  }

  /** Open or closed: closed, nothing is asked. */
  fold(open: boolean): void {
    this.opened = open;
    put(this.head, 'aria-expanded', String(open));
    show(this.body, open);
    this.look();
  }

  /** Whether anybody looks. */
  visible(seen: boolean): void {
    this.seen = seen;
    this.look();
  }

  private look(): void {
    if (this.seen && this.opened) {
      this.end ??= this.server.machine(
        machine => this.draw(machine),
        link => put(this.element, 'data-link', link)
      );
    } else {
      this.quiet();
    }
  }

  private quiet(): void {
    this.end?.();
    this.end = null;
  }

  private draw(machine: Machine): void {
    const { gpus, cpu, memory, disk, queues } = machine;
    const key = JSON.stringify([gpus, cpu, memory, disk, queues]);
    if (key === this.drawn) {
      return;
    }
    this.drawn = key;
    // a name that is being read, or has the keyboard, must not be taken away
    const focused = this.body.contains(document.activeElement) ? document.activeElement?.getAttribute('data-run') : null;
    const meters = [
      ...gpus.flatMap(gpu => [
        meter(t('GPU {n}', { n: gpu.index }), gpu.utilization, null, [gpu.name, gpu.others].filter(Boolean).join(' · '), this.holder(gpu.run, queues)),
        meter(t('Memory'), gpu.used === null ? null : gpu.used / gpu.memory, gpu.used === null ? null : amount(gpu.used, gpu.memory), gpu.name, null, true)
      ]),
      meter(t('CPU'), cpu.used, null, plural(cpu.cores, '{n} core', '{n} cores'), null),
      meter(t('Memory'), memory.used / memory.total, amount(memory.used, memory.total), '', null),
      meter(t('Disk'), disk.used / disk.total, amount(disk.used, disk.total), t('where the runs are'), null)
    ];
    this.body.replaceChildren(h('div', { class: 'meters' }, ...meters), ...queues.map(queue => this.queue(queue)));
    this.brief.textContent = gpus.length ? plural(gpus.length, '{n} GPU', '{n} GPUs') : '';
    if (focused) {
      this.body.querySelector<HTMLElement>(`[data-run="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  /** The run that holds a GPU. */
  private holder(run: string | null, queues: Queue[]): HTMLElement | null {
    if (run === null) {
      return null;
    }
    const name = queues.flatMap(queue => queue.running).find(one => one.id === run)?.name ?? run;
    return this.link(run, name);
  }

  private link(run: string, name: string): HTMLElement {
    const link = h('button', { type: 'button', class: 'run-name', 'data-run': run, title: `${name}\n${run}` }, h('bdi', {}, name));
    link.addEventListener('click', () => this.open(run));
    return link;
  }

  private queue(queue: Queue): HTMLElement {
    const { running, waiting } = queue;
    const state = running.length || waiting.length
      ? [running.length ? t('{n} running', { n: running.length }) : '', waiting.length ? t('{n} waiting', { n: waiting.length }) : ''].filter(Boolean).join(', ')
      : t('idle');
    const head = h('h3', {}, h('bdi', {}, queue.compute), h('span', { class: 'brief' }, state));
    const rows = [
      ...running.slice(0, MOST).map(run => h('li', { 'data-look': 'live' }, icon('turn'), this.link(run.id, run.name))),
      ...waiting.slice(0, MOST).map(run =>
        h('li', { 'data-look': 'wait' }, h('span', { class: 'position' }, String(run.position)), h('span', { class: 'waits' }, this.link(run.id, run.name), h('span', { class: 'because', title: run.why }, run.why)))
      )
    ];
    const more = running.length + waiting.length - rows.length;
    return h('div', { class: 'queue' }, head, rows.length ? h('ul', {}, ...rows) : null, more > 0 ? h('p', { class: 'note' }, t('and {n} more', { n: more })) : null);
  }
}

const amount = (used: number, total: number): string => t('{used} of {total}', { used: bytes(used), total: bytes(total) });

function meter(label: string, part: number | null, words: string | null, about: string, run: HTMLElement | null, under = false): HTMLElement {
  // a busy processor is well used; a full disk is not
  const value = part === null ? 0 : Math.min(1, Math.max(0, part));
  const text = part === null ? t('unknown') : (words ?? `${Math.round(value * 100)} %`);
  const bar = h('span', { class: 'track', role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(value * 100), 'aria-valuetext': text });
  const fill = h('span', { class: 'fill', 'data-look': words === null || value < 0.85 ? 'live' : value < 0.95 ? 'wait' : 'bad' });
  fill.style.width = `${value * 100}%`;
  bar.append(fill);
  const row = h('div', { class: under ? 'meter under' : 'meter', title: about }, h('span', { class: 'what' }, label), bar, h('span', { class: 'amount' }, text));
  if (run) {
    row.append(h('span', { class: 'held' }, run));
  }
  return row;
}
