// Keeps a store up to date from a source while it is looked at, and asks for everything again after a gap.

import type { Source } from '../source/source.js';
import { Asking } from '../view/asking.js';
import { Store } from '../view/store.js';

const BUCKETS = 1000;
/** Milliseconds between two hellos, at least. */
const REST = 1000;
/** Milliseconds out of sight before frames are declined. */
const AWAY = 1500;

export class Feed {
  readonly store = new Store();
  readonly asking: Asking;
  private hidden = true;
  private rank = 0;
  private greeted = 0;
  private again: ReturnType<typeof setTimeout> | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private readonly silent: () => void;

  /** *changed* is called whenever there is something to draw; *run*, when what is known of the run changed. */
  constructor(
    private readonly source: Source,
    private readonly changed: () => void,
    run: () => void
  ) {
    this.asking = new Asking(source, changed);
    this.silent = source.listen((message, numbers) => {
      if (message.type !== 'frame') {
        this.asking.answer(message, numbers);
        return;
      }
      const change = this.store.apply(message, numbers);
      if (change.hello) {
        this.hello();
      }
      if (change.run) {
        run();
      }
      changed();
    }, () => this.linked());
  }

  get link(): Source['link'] {
    return this.source.link;
  }

  /** Whether somebody looks. */
  look(seen: boolean): void {
    clearTimeout(this.leaving);
    if (seen && this.hidden) {
      this.hidden = false;
      this.hello();
      this.changed();
    } else if (!seen && !this.hidden) {
      this.leaving = setTimeout(() => {
        this.hidden = true;
        this.source.send({ type: 'hide' });
      }, AWAY);
    }
  }

  /** Another rank's log. */
  log(rank: number): void {
    this.rank = rank;
    this.greeted = 0;
    this.hello();
  }

  end(): void {
    this.silent();
    this.asking.end();
    clearTimeout(this.again);
    clearTimeout(this.leaving);
  }

  private linked(): void {
    if (this.source.link === 'open') {
      this.greeted = 0;
      this.hello();
    } else {
      this.asking.end();
    }
    this.changed();
  }

  /** Ask for everything, not more often than `REST` allows. */
  private hello(): void {
    if (this.hidden) {
      return;
    }
    clearTimeout(this.again);
    const wait = this.greeted + REST - Date.now();
    if (wait > 0) {
      this.again = setTimeout(() => this.hello(), wait);
      return;
    }
    this.greeted = Date.now();
    const log = this.rank ? { log: this.rank } : {};
    this.source.send({ type: 'hello', view: this.source.view, have: this.store.seq, buckets: BUCKETS, ...log });
  }
}
