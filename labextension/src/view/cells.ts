// How far a notebook run is: a strip with a piece per cell, and words for the one that runs or failed.

import { h, put, say, show } from './dom.js';
import type { Store } from './store.js';
import type { Progress } from './usage.js';
import { clock, number, t } from './words.js';

/** More pieces than that would be thinner than a pixel or two: then they are put together. */
const MOST = 160;

export class CellStrip {
  readonly element: HTMLElement;
  private readonly words = h('span', { class: 'said' });
  private readonly strip = h('div', { class: 'strip', role: 'img' });
  private pieces: HTMLElement[] = [];
  private drawn = '';

  constructor(private readonly store: Store) {
    this.element = h('div', { class: 'cells', hidden: true }, this.words, this.strip);
  }

  draw(): void {
    const { progress, run } = this.store;
    const over = run?.over ?? false;
    const key = `${progress.version} ${over}`;
    if (key === this.drawn) {
      return;
    }
    this.drawn = key;
    show(this.element, progress.total > 0);
    if (progress.total === 0) {
      return;
    }
    const text = sentence(progress, over);
    say(this.words, text);
    put(this.words, 'data-look', progress.failed === null ? null : 'bad');
    put(this.strip, 'aria-label', text);
    this.fill(progress, over);
  }

  private fill(progress: Progress, over: boolean): void {
    const each = Math.ceil(progress.total / MOST);
    const count = Math.ceil(progress.total / each);
    if (this.pieces.length !== count) {
      this.pieces = Array.from({ length: count }, () => h('span', { class: 'piece' }));
      this.strip.replaceChildren(...this.pieces);
      put(this.strip, 'data-few', count <= 16);
    }
    this.pieces.forEach((piece, i) => {
      const numbers = Array.from({ length: Math.min(each, progress.total - i * each) }, (_, k) => i * each + k + 1);
      put(piece, 'data-state', together(numbers.map(n => progress.state(n)), over));
      put(piece, 'title', numbers.length === 1 ? about(progress, numbers[0] as number, over) : `${numbers[0]}–${numbers.at(-1)}`);
      const seconds = numbers.length === 1 ? progress.cells.get(numbers[0] as number)?.seconds : null;
      say(piece, seconds !== null && seconds !== undefined && count <= 16 ? took(seconds) : '');
    });
  }
}

type State = ReturnType<Progress['state']> | 'stopped';

function together(states: State[], over: boolean): State {
  const worst = (['failed', 'running', 'ahead', 'done'] as const).find(state => states.includes(state)) ?? 'passed';
  return worst === 'running' && over ? 'stopped' : worst;
}

/** `cell 5 of 12`, and what happened to it. */
function sentence(progress: Progress, over: boolean): string {
  const words = t(progress.said.charAt(0).toUpperCase() + progress.said.slice(1));
  if (progress.failed !== null) {
    const seconds = progress.cells.get(progress.failed)?.seconds;
    const how = progress.error ? t('{words} raised {error}', { words, error: progress.error }) : t('{words} failed', { words });
    return seconds === null || seconds === undefined ? how : t('{how} after {time}', { how, time: took(seconds) });
  }
  return progress.current !== null && over ? t('{words} was stopped', { words }) : words;
}

function about(progress: Progress, cell: number, over: boolean): string {
  const state = progress.state(cell);
  const words: Record<string, string> = {
    running: over ? t('stopped') : t('running'),
    done: t('done'),
    passed: t('passed'),
    failed: t('failed'),
    ahead: over ? t('not executed') : t('to come')
  };
  const seconds = progress.cells.get(cell)?.seconds;
  const time = seconds === null || seconds === undefined ? '' : ` · ${took(seconds)}`;
  return `${t('Cell {n}', { n: cell })} · ${words[state] ?? state}${time}`;
}

/** `0.3 s`, `12 s`, `3:05`. */
export function took(seconds: number): string {
  return seconds >= 60 ? clock(seconds) : t('{n} s', { n: number(Number(seconds.toPrecision(2))) });
}
