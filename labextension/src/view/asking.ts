// Questions to Python, their answers, and how long one waits.  No DOM.

import type { AskCommand, AskCount, AskImage, AskLines, AskRange, AskSearch, FromPython } from '../contract.js';
import type { Source } from '../source/source.js';

type Asked = AskRange | AskLines | AskSearch | AskCount | AskImage | AskCommand;
type Without<T> = T extends Asked ? Omit<T, 'ask'> : never;
type Question = Without<Asked>;
type Answer = Exclude<FromPython, { type: 'frame' }>;
type Hear = (answer: Answer, numbers: Float64Array) => void;

/** Milliseconds after which the kernel is said to be busy. */
export const PATIENCE = 1000;

export class Asking {
  private next = 1;
  private readonly asked = new Map<number, { hear: Hear; since: number; loud: boolean }>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** *late* is called whenever `waiting` changes. */
  constructor(
    private readonly source: Source,
    private readonly late: () => void
  ) {}

  /** Whether a question that somebody waits for got no answer in `PATIENCE`. */
  waiting = false;

  /** Ask; *loud* where a person waits for the answer.  The returned number cancels it. */
  ask(question: Question, hear: Hear, loud = true): number {
    const ask = this.next++;
    this.asked.set(ask, { hear, since: Date.now(), loud });
    this.source.send({ ...question, ask } as AskLines);
    this.watch();
    return ask;
  }

  /** Whether its answer may come. */
  open(ask: number): boolean {
    return this.asked.has(ask);
  }

  /** Its answer is not wanted any more. */
  drop(ask: number): void {
    this.asked.delete(ask);
    this.watch();
  }

  /** An answer came; one to an unknown question is passed over. */
  answer(answer: Answer, numbers: Float64Array): void {
    const asked = this.asked.get(answer.ask);
    this.asked.delete(answer.ask);
    this.watch();
    asked?.hear(answer, numbers);
  }

  /** Nothing will be answered any more. */
  end(): void {
    this.asked.clear();
    this.watch();
  }

  private watch(): void {
    clearTimeout(this.timer);
    const loud = [...this.asked.values()].filter(asked => asked.loud);
    const oldest = Math.min(...loud.map(asked => asked.since));
    const left = oldest + PATIENCE - Date.now();
    const waiting = loud.length > 0 && left <= 0;
    if (waiting !== this.waiting) {
      this.waiting = waiting;
      this.late();
    }
    if (loud.length > 0 && !waiting) {
      this.timer = setTimeout(() => this.watch(), left + 1);
    }
  }
}
