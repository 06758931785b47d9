// Searching the log: the field, next and previous, and what was found.  Python searches; lines found are told.

import type { Asking } from './asking.js';
import { button, h, on, put, say, show } from './dom.js';
import { t, whole } from './words.js';

export interface Place {
  /** the line where a search that finds nothing before it begins */
  here(): number;
  total(): number;
  /** a line was found, or nothing is searched for any more */
  found(line: number | null): void;
}

export class Search {
  readonly element = h('div', { class: 'search', role: 'search' });
  private readonly field = h('input', { type: 'search', class: 'field', placeholder: t('Search log') });
  private readonly result = h('span', { class: 'result', role: 'status' });
  private readonly up = button(t('Previous match'), 'up');
  private readonly down = button(t('Next match'), 'down');
  private line: number | null = null;
  private asked: number | null = null;
  private around = false;

  constructor(
    private readonly asking: Asking,
    private readonly place: Place,
    signal: AbortSignal
  ) {
    put(this.field, 'aria-label', t('Search the log'));
    this.element.append(this.field, this.result, this.up, this.down);
    on(this.up, 'click', () => this.go(true), signal);
    on(this.down, 'click', () => this.go(false), signal);
    on(this.field, 'input', () => this.typed(), signal);
    on(this.field, 'keydown', event => this.key(event), signal);
    this.able();
  }

  /** What is searched for, in lower case. */
  get text(): string {
    return this.field.value.toLowerCase();
  }

  focus(): void {
    this.field.focus();
    this.field.select();
  }

  /** Another log is shown. */
  clear(): void {
    this.forget();
    this.place.found(null);
  }

  private forget(): void {
    if (this.asked !== null) {
      this.asking.drop(this.asked);
    }
    this.asked = null;
    this.line = null;
    say(this.result, '');
    this.able();
  }

  private typed(): void {
    this.forget();
    this.place.found(null);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Enter') {
      this.go(event.shiftKey);
    } else if (event.key === 'Escape' && this.field.value) {
      this.field.value = '';
      this.typed();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private able(): void {
    put(this.up, 'disabled', !this.field.value);
    put(this.down, 'disabled', !this.field.value);
    show(this.result, this.result.textContent !== '');
  }

  private go(backward: boolean): void {
    if (this.field.value) {
      const from = this.line === null ? this.place.here() : this.line + (backward ? -1 : 1);
      this.around = false;
      this.ask(from, backward);
    }
  }

  private ask(from: number, backward: boolean): void {
    if (this.asked !== null) {
      this.asking.drop(this.asked);
    }
    if (from < 0 || from >= this.place.total()) {
      this.wrap(backward);
      return;
    }
    this.say(t('Searching…'));
    const question = { type: 'search' as const, text: this.field.value, from, backward };
    this.asked = this.asking.ask(question, answer => {
      this.asked = null;
      if (answer.type === 'refused') {
        this.say(answer.error);
      } else if (answer.type !== 'found') {
        return;
      } else if (answer.line !== null) {
        this.line = answer.line;
        this.place.found(answer.line);
        this.say(t('Line {n}', { n: whole(answer.line + 1) }));
      } else if (answer.searched === 'part' && answer.next !== null) {
        this.ask(answer.next, backward);
      } else {
        this.wrap(backward);
      }
    });
  }

  /** At an end: once more from the other one, then no more. */
  private wrap(backward: boolean): void {
    if (this.around || this.place.total() === 0) {
      this.say(t('No match'));
      return;
    }
    this.around = true;
    this.ask(backward ? this.place.total() - 1 : 0, backward);
  }

  private say(text: string): void {
    say(this.result, text);
    this.able();
  }
}
