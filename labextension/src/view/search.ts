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
  /** how many lines match, and the number of the one found among them: null until they are counted */
  private matches: { all: number; at: number; upTo: number } | null = null;
  private counting: number | null = null;

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
    this.uncount();
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
        this.number(backward);
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

  /** Which of how many it is: by one more or less, where they are counted; else count them. */
  private number(backward: boolean): void {
    const { matches } = this;
    if (matches && matches.all > 0 && matches.upTo === this.place.total()) {
      const next = matches.at + (backward ? -1 : 1);
      matches.at = this.around ? (backward ? matches.all : 1) : Math.min(Math.max(next, 1), matches.all);
      this.told();
    } else if (this.line !== null) {
      this.uncount();
      this.told();
      this.count(0, { all: 0, at: 0, upTo: 0 }, this.line);
    }
  }

  private uncount(): void {
    if (this.counting !== null) {
      this.asking.drop(this.counting);
    }
    this.counting = null;
    this.matches = null;
  }

  /** Count in slices; nobody waits for that. */
  private count(from: number, sofar: { all: number; at: number; upTo: number }, line: number): void {
    const question = { type: 'count' as const, text: this.field.value, from, at: line };
    this.counting = this.asking.ask(question, answer => {
      this.counting = null;
      if (answer.type !== 'counted' || this.line !== line) {
        return;
      }
      const found = { all: sofar.all + answer.count, at: sofar.at + answer.before, upTo: answer.total };
      if (answer.next !== null) {
        this.count(answer.next, found, line);
      } else {
        this.matches = found;
        this.told();
      }
    }, false);
  }

  private told(): void {
    const line = t('line {n}', { n: whole((this.line ?? 0) + 1) });
    const place = this.matches && t('{i} of {n}', { i: whole(this.matches.at), n: whole(this.matches.all) });
    this.say(place ? `${place} · ${line}` : line);
  }

  private say(text: string): void {
    say(this.result, text);
    this.able();
  }
}
