// A run, or a comparison of runs, as a document of JupyterLab's main area.

import { Widget } from '@lumino/widgets';
import { CompareView } from './compare.js';
import { placeOf, type Place } from './places.js';
import { RunView } from './runview.js';
import type { Server } from './server.js';
import { h } from '../view/dom.js';
import { plural } from '../view/words.js';

export interface RunDocumentOptions {
  run: string;
  server: Server;
  /** where to begin: `charts`, `logs`, `code/train.py:12` … */
  place?: string;
  /** open another run */
  open(run: string): void;
  compare(runs: string[]): void;
}

export class RunDocument extends Widget {
  readonly run: string;
  readonly view: RunView;

  constructor(options: RunDocumentOptions) {
    super();
    this.run = options.run;
    this.id = `jupyter-mlrun-run-${options.run}`;
    this.addClass('jp-mlrun-document');
    this.title.label = options.run;
    this.title.caption = options.run;
    this.title.closable = true;
    this.view = new RunView(options.server, options.run, {
      address: run => options.server.address(`runs/${encodeURIComponent(run)}`),
      open: options.open,
      compare: options.compare,
      moved: place => (this.place = place),
      titled: (name, status) => {
        this.title.label = name;
        this.title.caption = `${name} · ${status} · ${options.run}`;
      },
      gone: () => this.close()
    }, placeOf(options.place ?? ''));
    this.node.append(this.view.element);
  }

  /** Where one is in it, for whoever restores it. */
  place: Place = placeOf('');

  /** Go to `charts`, `code/train.py:12` … */
  go(place: string): void {
    this.view.go(placeOf(place));
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.view.dispose();
      super.dispose();
    }
  }

  protected override onAfterShow(): void {
    this.view.visible(true);
  }

  protected override onAfterAttach(): void {
    this.view.visible(this.isVisible);
  }

  protected override onBeforeHide(): void {
    this.view.visible(false);
  }

  protected override onBeforeDetach(): void {
    this.view.visible(false);
  }

  protected override onActivateRequest(): void {
    this.node.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.focus();
  }
}

export interface CompareDocumentOptions {
  runs: readonly string[];
  server: Server;
  open(run: string): void;
}

export class CompareDocument extends Widget {
  private view: CompareView | null = null;
  private shown = false;
  runs: readonly string[] = [];

  constructor(private readonly options: CompareDocumentOptions) {
    super();
    this.addClass('jp-mlrun-document');
    this.title.closable = true;
    this.put(options.runs);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.view?.dispose();
      super.dispose();
    }
  }

  protected override onAfterShow(): void {
    this.look(true);
  }

  protected override onAfterAttach(): void {
    this.look(this.isVisible);
  }

  protected override onBeforeHide(): void {
    this.look(false);
  }

  protected override onBeforeDetach(): void {
    this.look(false);
  }

  private look(shown: boolean): void {
    this.shown = shown;
    this.view?.visible(shown);
  }

  private put(runs: readonly string[]): void {
    const { server, open } = this.options;
    this.view?.dispose();
    this.runs = runs;
    this.title.label = plural(runs.length, 'Compare one run', 'Compare {n} runs');
    this.view = new CompareView(server, runs, {
      link: run => {
        const link = h('a', { class: 'run-link', href: server.address(`runs/${encodeURIComponent(run.id)}`) }, run.name);
        link.addEventListener('click', event => (event.preventDefault(), open(run.id)));
        return link;
      },
      chose: left => (left.length ? this.put(left) : this.close())
    });
    this.view.visible(this.shown);
    this.node.replaceChildren(this.view.element);
  }
}
