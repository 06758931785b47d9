// Runs that go on, in the status bar; and a notification when one has ended.

import { Notification } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';
import type { RunFull } from '../api.js';
import { runPath } from '../page/server.js';
import type { HttpServer, Listing } from '../source/http.js';
import { h, icon, on, put, say } from '../view/dom.js';
import { clock, plural, spoken, t } from '../view/words.js';
import { Ended } from './ended.js';

const MOST = 500;
/** Runs that began last, among which are those that ended before they were seen to go on. */
const NEWEST = 30;
/** More that end at once are told in one sentence. */
const FEW = 3;

export interface ActiveHost {
  server: HttpServer;
  show(): void;
  open(run: string, name: string): void;
  /** whether a run that ended so is told */
  tells(status: string): boolean;
}

export class ActiveRuns extends Widget {
  private readonly end = new AbortController();
  private readonly button = h('button', { type: 'button', class: 'jp-mlrun-active' });
  private readonly words = h('span', {});
  private readonly ended = new Ended();
  private listing: Listing | null = null;
  private newest: Listing | null = null;

  constructor(private readonly host: ActiveHost) {
    super();
    const { signal } = this.end;
    this.button.append(icon('turn'), this.words);
    this.node.append(h('span', { class: 'mlr-live mlr-status' }, this.button));
    on(this.button, 'click', () => host.show(), signal);
    document.addEventListener('visibilitychange', () => this.look(), { signal });
    this.draw();
    this.look();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.end.abort();
      this.leave();
      super.dispose();
    }
  }

  private leave(): void {
    this.listing?.close();
    this.newest?.close();
    this.listing = this.newest = null;
  }

  /** Nobody is told anything while the page is hidden: it is made up for when it is shown. */
  private look(): void {
    if (document.visibilityState === 'visible') {
      this.listing ??= this.host.server.watch({ status: 'active', limit: MOST }, {
        heard: update => {
          const gone = this.ended.take(update);
          this.draw();
          void this.tell(gone);
        },
        linked: link => put(this.node, 'data-link', link)
      });
      this.newest ??= this.host.server.watch({ limit: NEWEST }, {
        heard: update => void this.tell(this.ended.quick(update)),
        linked: () => undefined
      });
    } else {
      this.leave();
    }
  }

  private draw(): void {
    const { total, active } = this.ended;
    const names = [...active.values()].slice(0, 10).map(run => `${run.name}: ${run.waiting ?? run.progress ?? spoken(run.shown)}`);
    say(this.words, total ? plural(total, '{n} active run', '{n} active runs') : t('No active runs'));
    put(this.button, 'data-active', total > 0);
    put(this.button, 'title', names.length ? names.join('\n') : t('Show the list of runs'));
  }

  private async tell(ids: string[]): Promise<void> {
    const found = await Promise.all(ids.slice(0, MOST).map(id => this.host.server.ask<RunFull>('GET', runPath(id)).catch(() => null)));
    // deleted ones are nobody's news, and a search's many children are its own
    const runs = found.filter((run): run is RunFull => run !== null && run.over && run.parent === null && this.host.tells(run.status));
    if (runs.length > FEW) {
      const failed = runs.filter(run => run.status === 'Failed').length;
      const text = failed ? t('{n} runs ended, {m} of them failed.', { n: runs.length, m: failed }) : t('{n} runs ended.', { n: runs.length });
      const action = { label: t('Show'), callback: () => this.host.show() };
      Notification.emit(text, failed ? 'warning' : 'info', { autoClose: 10_000, actions: [action] });
      return;
    }
    for (const run of runs) {
      this.announce(run);
    }
  }

  private announce(run: RunFull): void {
    const took = run.started === null || run.ended === null ? '' : t(' after {time}', { time: clock(run.ended - run.started) });
    const why = run.status === 'Completed' ? '' : (run.end?.reason ?? run.reason ?? '');
    const text = `${run.name}: ${spoken(run.status)}${took}${why ? `. ${why}` : ''}`;
    const kind = run.status === 'Completed' ? 'success' : run.status === 'Failed' ? 'error' : 'info';
    const action = { label: t('Open'), callback: () => this.host.open(run.id, run.name) };
    Notification.emit(text.slice(0, 300), kind, { autoClose: kind === 'error' ? 15_000 : 8_000, actions: [action] });
  }
}
