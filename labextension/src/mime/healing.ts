// One output of a notebook: live from the server where it knows the run, else as the notebook has it.

import type { Problem } from '../api.js';
import { runPath } from '../page/server.js';
import { HttpSource, type HttpServer } from '../source/http.js';
import { Refused } from '../source/refused.js';
import { Panel } from '../view/panel.js';
import { put } from '../view/dom.js';
import { t } from '../view/words.js';
import { type Output, stale } from './data.js';
import { drawn } from './drawn.js';

/** Milliseconds after an end in which a kernel that lives writes the output itself. */
const GRACE = 1000;

/** Puts what a notebook is to keep into the output. */
export type Keep = (data: Record<string, unknown>) => void;

export class Healing {
  readonly element = document.createElement('div');
  private output: Output | null = null;
  private source: HttpSource | null = null;
  private panel: Panel | null = null;
  private kept: HTMLElement | null = null;
  private live = false;
  private ended = false;
  private note = '';
  private writing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly server: HttpServer,
    private readonly keep: Keep
  ) {
    this.element.className = 'jp-mlrun-output';
  }

  /** The output's data, as it is now. */
  set(output: Output): void {
    const before = this.output;
    this.output = output;
    if (!before || before.run !== output.run || before.workspace !== output.workspace) {
      this.leave();
      this.draw();
      this.join(output);
    } else if (!this.live) {
      this.draw();
    }
  }

  dispose(): void {
    this.leave();
    clearTimeout(this.writing);
    this.element.remove();
  }

  private join({ run, workspace }: Output): void {
    const more = workspace ? { workspace } : {};
    const source = new HttpSource(this.server.channel, run, more, (problem, final) => this.refused(problem, final));
    this.source = source;
    source.listen(
      message => {
        if (message.type === 'frame' && source === this.source) {
          this.frame(message.run?.over ?? null);
        }
      },
      link => {
        if (link === 'lost' && !this.live && source === this.source) {
          void this.ask(source);
        }
      }
    );
    if (source.link === 'lost') {
      void this.ask(source);
    }
    this.panel = new Panel(source);
    // in the page, so that it is known to be looked at, but not seen before it has something to show
    put(this.element, 'data-joining', true);
    this.panel.element.inert = true;
    this.element.append(this.panel.element);
  }

  private leave(): void {
    const { panel, source } = this;
    this.panel = this.source = null;
    this.live = this.ended = false;
    this.note = '';
    panel?.dispose();
    source?.end();
    put(this.element, 'data-joining', null);
  }

  private frame(over: boolean | null): void {
    if (over === null && !this.live) {
      return; // nothing of the run is in it
    }
    if (!this.live && this.panel) {
      this.live = true;
      this.note = '';
      put(this.element, 'data-joining', null);
      this.panel.element.inert = false;
      this.kept?.remove();
      this.kept = null;
    }
    if (over && !this.ended) {
      this.ended = true;
      clearTimeout(this.writing);
      this.writing = setTimeout(() => void this.write(), GRACE);
    }
  }

  /** The server says no. */
  private refused(problem: Problem, final: boolean): void {
    if (final) {
      // what is meant for lists of runs helps nobody here
      this.stay(reasonOf(problem.message));
    }
  }

  /** The line cannot be had: is there a server that knows of runs? */
  private async ask(source: HttpSource): Promise<void> {
    let problem: { said: Problem; status: number } | null = null;
    try {
      await this.server.ask('GET', 'api/about');
    } catch (error) {
      problem = error instanceof Refused ? { said: error.problem, status: error.status } : null;
    }
    if (source !== this.source || this.live || !problem) {
      return;
    }
    if (problem.status >= 400 && problem.status < 500) {
      this.stay(reasonOf(problem.said.message, problem.said.hint));
    } else {
      this.say(t('The server does not answer: this is the run as the notebook has it. It goes on by itself as soon as it does.'));
    }
  }

  /** No more than the notebook has. */
  private stay(note: string): void {
    this.leave();
    this.say(note);
  }

  private say(note: string): void {
    if (note !== this.note || !this.kept) {
      this.note = note;
      this.draw();
    }
  }

  private draw(): void {
    if (this.output) {
      const made = drawn(this.output.run, this.output.static, this.note);
      if (this.kept) {
        this.kept.replaceWith(made);
      } else {
        this.element.prepend(made);
      }
      this.kept = made;
    }
  }

  /** What the notebook is to keep, when no kernel did it. */
  private async write(): Promise<void> {
    const { output } = this;
    if (!output || !stale(output)) {
      return;
    }
    const { run, workspace, view } = output;
    try {
      const { data } = await this.server.ask<{ data: Record<string, unknown> }>('GET', runPath(run, 'saved'), { workspace, view });
      if (this.output?.run === run && stale(this.output)) {
        this.keep(data);
      }
    } catch (error) {
      // the view is right all the same, and the next opening tries again
      console.debug('jupyter_mlrun: the end was not written into the output', error);
    }
  }
}

function reasonOf(...said: (string | null)[]): string {
  const why = said.filter(text => text !== null).map(sentence).join(' ');
  return t('{why} This is the run as the notebook has it.', { why });
}

function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
