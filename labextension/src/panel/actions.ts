// What can be done to runs from the sidebar, the palette and menus: each is a command of JupyterLab.

import { Clipboard, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { ManyDone, RunFull, RunRow } from '../api.js';
import { register, remove, rename, rerun, type Stage } from '../page/actions.js';
import { ask } from '../page/dialog.js';
import { problemOf, runPath } from '../page/server.js';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { h } from '../view/dom.js';
import { t } from '../view/words.js';
import { tagsIn, tagsText } from './tagtext.js';
import { failures } from './told.js';

/** Runs in one command, as many as one question may name. */
const MOST = 500;

/** Where our dialogs are: in the page, beside everything. */
export function dialogHost(): HTMLElement {
  const id = 'jupyter-mlrun-dialogs';
  let host = document.getElementById(id);
  if (!host) {
    host = h('div', { id, class: 'mlr-live mlr-page jp-mlrun-dialogs' });
    document.body.append(host);
  }
  return host;
}

/** Say that something failed, with its cure. */
export function tellFailure(error: unknown): void {
  const { message, hint } = problemOf(error);
  Notification.error(hint ? `${message} (${hint})` : message, { autoClose: 8000 });
}

/** Register what can be done to runs; *chosen* are meant where a command names none. */
export function addActions(
  commands: CommandRegistry,
  server: HttpServer,
  trans: TranslationBundle,
  chosen: () => RunRow[],
  deleted: (ids: string[]) => void
): void {
  const actions = new Actions(commands, server, chosen, deleted);
  const runs = (args: ReadonlyPartialJSONObject): string[] => {
    const named = args['runs'] ?? args['run'];
    const all = Array.isArray(named) ? named : named === undefined ? chosen().map(run => run.id) : [named];
    return all.filter((id): id is string => typeof id === 'string' && id !== '');
  };
  const rows = (args: ReadonlyPartialJSONObject): RunRow[] => {
    const ids = new Set(runs(args));
    return chosen().filter(run => ids.has(run.id));
  };
  const add = (id: string, label: string, most: number, work: (ids: string[]) => unknown, fits?: (rows: RunRow[]) => boolean): void => {
    commands.addCommand(id, {
      // in the palette nothing says what is meant
      label: args => (args['isPalette'] ? trans.__('Picked Runs: %1', label) : label),
      describedBy: {
        args: { type: 'object', properties: { run: { type: 'string' }, runs: { type: 'array', items: { type: 'string' } } } }
      },
      isEnabled: args => {
        const [ids, known] = [runs(args), rows(args)];
        // of a run that is not in the list nothing is known: the server will say
        return ids.length > 0 && ids.length <= most && (!fits || known.length < ids.length || fits(known));
      },
      execute: async args => {
        const ids = runs(args).slice(0, most);
        if (ids.length) {
          await Promise.resolve(work(ids)).catch(tellFailure);
        }
      }
    });
  };
  const one = (work: (id: string) => unknown) => (ids: string[]): unknown => work(ids[0] as string);
  add(COMMANDS.stop, trans.__('Stop…'), MOST, ids => actions.stop(ids), known => known.some(run => run.can_stop));
  add(COMMANDS.delete, trans.__('Delete…'), MOST, ids => actions.delete(ids), known => known.some(run => run.over));
  add(COMMANDS.rerun, trans.__('Rerun…'), 1, one(id => actions.rerun(id)));
  add(COMMANDS.rename, trans.__('Rename…'), 1, one(id => actions.rename(id)));
  add(COMMANDS.tag, trans.__('Tags…'), 1, one(id => actions.tag(id)));
  add(COMMANDS.register, trans.__('Register Model…'), 1, one(id => actions.register(id)), known => known.some(run => run.over));
  add(COMMANDS.openTab, trans.__('Open in New Browser Tab'), 1, one(id => actions.openTab(id)));
  add(COMMANDS.copyId, trans.__('Copy ID'), MOST, ids => Clipboard.copyToSystem(ids.join('\n')));
}

class Actions {
  private readonly stage: Stage;

  constructor(
    private readonly commands: CommandRegistry,
    private readonly server: HttpServer,
    private readonly rows: () => RunRow[],
    private readonly deleted: (ids: string[]) => void
  ) {
    this.stage = {
      root: dialogHost(),
      server,
      signal: new AbortController().signal,
      tell: (text, run) => {
        const open = run === undefined ? [] : [{ label: t('Open'), callback: () => void this.commands.execute(COMMANDS.open, { run }) }];
        Notification.success(run === undefined ? text : `${text} ${run}`, { actions: open, autoClose: 6000 });
      },
      changed: () => undefined,
      gone: () => undefined
    };
  }

  stop(ids: string[]): void {
    const many = ids.length > 1;
    this.ask(
      many ? t('Stop {n} runs?', { n: ids.length }) : t('Stop this run?'),
      many ? t('Those that are over stay as they are.') : t('What it has written so far is kept.'),
      many ? t('Stop {n} runs', { n: ids.length }) : t('Stop'),
      () => this.many('stop', ids)
    );
  }

  async delete(ids: string[]): Promise<void> {
    if (ids.length === 1) {
      remove({ ...this.stage, gone: () => this.deleted(ids) }, await this.run(ids[0] as string));
      return;
    }
    this.ask(
      t('Delete {n} runs?', { n: ids.length }),
      t('They and all that they wrote are deleted: logs, metrics and files. Runs that go on stay.'),
      t('Delete {n} runs', { n: ids.length }),
      () => this.many('delete', ids)
    );
  }

  async rerun(id: string): Promise<void> {
    rerun(this.stage, await this.run(id));
  }

  async rename(id: string): Promise<void> {
    rename(this.stage, await this.run(id));
  }

  async register(id: string): Promise<void> {
    await register(this.stage, await this.run(id));
  }

  async tag(id: string): Promise<void> {
    const run = await this.run(id);
    ask(this.stage.root, {
      title: t('Tags of {name}', { name: run.name }),
      fields: [{ name: 'tags', label: t('Tags'), value: tagsText(run.tags), hint: t('name=value, parted by commas; a tag that is taken out is removed') }],
      yes: t('Save'),
      work: async ({ tags = '' }) => {
        const wanted = tagsIn(tags);
        const removed = Object.keys(run.tags).filter(name => !Object.hasOwn(wanted, name));
        const set = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => run.tags[name] !== value));
        if (removed.length || Object.keys(set).length) {
          const body = { ...(Object.keys(set).length ? { set } : {}), ...(removed.length ? { remove: removed } : {}) };
          await this.server.ask('POST', runPath(id, 'tag'), {}, body);
        }
      }
    }, this.stage.signal);
  }

  openTab(id: string): void {
    window.open(this.server.address(`runs/${encodeURIComponent(id)}`), '_blank', 'noopener');
  }

  private run(id: string): Promise<RunFull> {
    return this.server.ask<RunFull>('GET', runPath(id));
  }

  private ask(title: string, text: string, yes: string, work: () => Promise<void>): void {
    ask(this.stage.root, { title, text, yes, danger: true, work }, this.stage.signal);
  }

  private async many(what: 'stop' | 'delete', ids: string[]): Promise<void> {
    // a run that is gone in a moment can be named no more
    const names = new Map(this.rows().map(run => [run.id, run.name]));
    const done = await this.server.ask<ManyDone>('POST', `api/runs/${what}`, {}, { runs: ids });
    const failed = done.runs.filter(one => one.error);
    if (what === 'delete') {
      this.deleted(done.runs.filter(one => !one.error).map(one => one.id));
    }
    if (failed.length) {
      const counts = { n: failed.length, m: ids.length };
      const head = what === 'delete' ? t('{n} of {m} runs were not deleted.', counts) : t('{n} of {m} runs were not stopped.', counts);
      Notification.error(`${head} ${failures(done.runs, id => names.get(id) ?? id)}`, { autoClose: false });
    }
  }
}
