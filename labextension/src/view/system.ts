// What the run uses of its machine: a small curve per figure.

import { h, show } from './dom.js';
import { Spark } from './spark.js';
import type { Store } from './store.js';
import type { Figure } from './usage.js';
import { bytes, clock, number, t, whole } from './words.js';

const ORDER = ['cpu', 'memory', 'gpu', 'disk_read', 'disk_written', 'disk_free', 'processes'];

export class SystemView {
  readonly element: HTMLElement;
  private readonly grid = h('div', { class: 'sparks' });
  private readonly facts = h('p', { class: 'none' });
  private readonly sparks = new Map<string, Spark>();
  private drawn = '';

  constructor(
    private readonly store: Store,
    private readonly signal: AbortSignal
  ) {
    this.element = h('section', { class: 'system', 'aria-label': t('System') }, h('h4', {}, t('System')), this.grid, this.facts);
  }

  draw(): void {
    const { machine, run } = this.store;
    const seen = `${machine.version} ${run?.over ?? false}`;
    if (seen === this.drawn) {
      return;
    }
    this.drawn = seen;
    show(this.element, machine.figures.size > 0);
    // a run that was over before it was first looked at
    const measured = [...machine.figures.values()].filter(one => one.name !== 'memory' || one.values.some(value => value > 0));
    const figures = measured.sort((a, b) => rank(a.name) - rank(b.name));
    const names = figures.map(figure => figure.name);
    if (names.join() !== [...this.sparks.keys()].join()) {
      this.sparks.clear();
      names.forEach(name => this.sparks.set(name, new Spark(label(name), this.signal)));
      this.grid.replaceChildren(...[...this.sparks.values()].map(spark => spark.element));
    }
    figures.forEach(figure => this.one(figure));
    const gpus = machine.gpus.map(([name, memory], i) => t('GPU {i}: {name}, {memory}', { i, name, memory: bytes(memory) }));
    const facts = [t('{n} cores', { n: whole(machine.cores) }), t('{size} of memory', { size: bytes(machine.memory) }), ...gpus];
    this.facts.textContent = facts.join(' · ');
  }

  private one(figure: Figure): void {
    const { times, values, unit, most, name } = figure;
    const largest = values.reduce((a, b) => Math.max(a, b), 0);
    const begun = this.store.run?.started ?? times[0] ?? 0;
    const at = (i: number): string =>
      t('{value} after {time}', { value: said(values[i] ?? NaN, unit), time: clock((times[i] ?? 0) - begun) });
    const top = unit === '%' ? Math.max(100, largest) : largest;
    // when it is over, nothing is used any more: how much it was, tells
    const ended = this.store.run?.over === true && name !== 'disk_free';
    const now = said(ended ? largest : (values.at(-1) ?? NaN), unit);
    const of = most !== null && name !== 'cpu' && unit !== '%' ? t(' of {most}', { most: said(most, unit) }) : '';
    const about = name === 'disk_free' ? '' : t('most {value}', { value: said(largest, unit) }) + of;
    this.sparks.get(name)?.draw({ x: times, y: values, top, bottom: name === 'disk_free' ? null : 0 }, now, at, about);
  }
}

function rank(name: string): number {
  const place = ORDER.indexOf(name.startsWith('gpu') ? 'gpu' : name);
  return (place < 0 ? ORDER.length : place) * 1000 + (Number(/\d+/.exec(name)?.[0] ?? 0) * 2 + (name.endsWith('_memory') ? 1 : 0));
}

function label(name: string): string {
  const [, gpu, memory] = /^gpu(\d+)(_memory)?$/.exec(name) ?? [];
  if (gpu !== undefined) {
    return memory ? t('GPU {n} memory', { n: gpu }) : t('GPU {n}', { n: gpu });
  }
  const names: Record<string, string> = {
    cpu: t('CPU'),
    memory: t('Memory'),
    processes: t('Processes'),
    disk_read: t('Disk read'),
    disk_written: t('Disk written'),
    disk_free: t('Disk free')
  };
  return Object.hasOwn(names, name) ? (names[name] as string) : name;
}

function said(value: number, unit: string): string {
  if (!Number.isFinite(value)) {
    return '–';
  }
  if (unit === '%') {
    return t('{n} %', { n: whole(value) });
  }
  return unit === 'bytes' ? bytes(value) : unit === 'bytes/s' ? t('{size}/s', { size: bytes(value) }) : number(value);
}
