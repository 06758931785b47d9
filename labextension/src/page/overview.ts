// What a run is: parameters, tags, who, when and where, environment, git, inputs, resources, and how it ended.

import type { About, RunFull } from '../api.js';
import { button, copy, h, on, say } from '../view/dom.js';
import { bytes, moment, plural, t } from '../view/words.js';
import { block, list, table, type Cell, type Fact } from './blocks.js';
import { endView, type EndActions } from './endview.js';
import { Tags } from './tags.js';
import type { Server } from './server.js';

export interface OverviewActions extends EndActions {
  /** an element that opens a run */
  link(run: string): Node;
  changed(): void;
}

export class Overview {
  readonly element = h('div', { class: 'overview' });
  private readonly end = h('div');
  private readonly blocks = h('div', { class: 'blocks' });
  private readonly tags: Tags;
  private readonly said = h('span', { class: 'sr-only', role: 'status' });
  private drawn = '';

  constructor(
    server: Server,
    run: string,
    private readonly actions: OverviewActions,
    private readonly signal: AbortSignal
  ) {
    this.tags = new Tags(server, run, () => actions.changed(), signal);
    this.element.append(this.end, this.blocks, this.said);
  }

  draw(run: RunFull, about: About | null): void {
    const key = JSON.stringify([{ ...run, now: 0 }, about]);
    if (key === this.drawn) {
      return;
    }
    this.drawn = key;
    const active = document.activeElement;
    const typing = active instanceof HTMLElement && this.tags.element.contains(active) ? active : null;
    const mayRerun = about?.can_execute !== false && run.kind !== 'interactive';
    const end = endView(run, { ...this.actions, rerun: mayRerun ? this.actions.rerun : null });
    this.end.replaceChildren(...(end ? [end] : []));
    this.element.toggleAttribute('data-end', end !== null);
    this.tags.draw(run.tags, about?.can_write !== false);
    const blocks = [
      run.description && block(t('Description'), h('p', { class: 'words' }, run.description)),
      block(t('Parameters'), table(Object.entries(run.parameters)) ?? none(t('This run has no parameters.'))),
      block(t('Metrics'), table(Object.entries(run.metrics))),
      block(t('Tags'), this.tags.element),
      block(t('Run'), table(this.facts(run))),
      block(t('Times'), table(times(run))),
      block(t('Resources'), table(resources(run))),
      block(t('Environment'), table([...run.environment, [t('Variables'), variables(run)]])),
      block(t('Git'), table(git(run))),
      block(t('Inputs'), list(run.inputs.map(input))),
      block(t('Code'), table(this.code(run)), leftOut(run)),
      block(t('Models'), list(run.models.map(({ name, version }) => t('{name}, version {version}', { name, version })))),
      block(t('Properties'), table(Object.entries(run.properties)))
    ];
    this.blocks.replaceChildren(...blocks.filter((one): one is HTMLElement => one instanceof HTMLElement));
    // who types a tag goes on typing
    typing?.focus({ preventScroll: true });
  }

  private facts(run: RunFull): Fact[] {
    return [
      [t('Id'), this.copied(run.id)],
      [t('Experiment'), run.experiment],
      [t('By'), [run.by, run.host && t('on {host}', { host: run.host })].filter(Boolean).join(' ')],
      [t('From'), run.notebook ?? CLIENTS()[run.client ?? ''] ?? run.client],
      [t('Compute'), run.target],
      [t('Workspace'), run.workspace],
      [t('Start'), run.start],
      [t('Parent'), run.parent && this.actions.link(run.parent)],
      [t('Rerun of'), run.rerun_of && this.actions.link(run.rerun_of)],
      [t('Folder'), this.copied(run.folder)]
    ];
  }

  private code(run: RunFull): Fact[] {
    const { snapshot } = run;
    const files = snapshot && plural(snapshot.files, 'One file', '{n} files');
    return [
      [t('Script'), run.script],
      [t('Command'), run.command?.join(' ')],
      [t('Arguments'), run.arguments.join(' ')],
      [t('Snapshot'), snapshot && `${files}, ${bytes(snapshot.bytes)} · ${snapshot.id.slice(0, 12)}`]
    ];
  }

  /** A text with a button that copies it. */
  private copied(text: string): Cell {
    const press = button(t('Copy'), 'copy');
    on(press, 'click', () => {
      void copy(text).then(done => say(this.said, done ? t('Copied.') : t('The browser refused to copy.')));
    }, this.signal);
    return h('span', { class: 'copied' }, h('span', {}, text), press);
  }
}

const CLIENTS = (): Record<string, string> => ({ notebook: t('a notebook'), cli: t('the command line'), sdk: t('a program') });

/** Their names; many are behind a word. */
function variables({ variables: names }: RunFull): Cell | null {
  if (names.length <= 4) {
    return names.join(', ') || null;
  }
  const title = plural(names.length, 'One name', '{n} names');
  return h('details', {}, h('summary', {}, title), h('span', {}, names.join(', ')));
}

function none(text: string): HTMLElement {
  return h('p', { class: 'none' }, text);
}

function times(run: RunFull): Fact[] {
  return [
    [t('Created'), moment(run.created)],
    [t('Queued'), moment(run.queued)],
    [t('Started'), moment(run.started)],
    [t('Ended'), moment(run.ended)]
  ];
}

function resources({ resources: asked }: RunFull): Fact[] {
  return [
    [t('GPUs'), asked.gpus],
    [t('CPU cores'), asked.cpus],
    [t('Memory'), asked.memory],
    [t('Time limit'), asked.time],
    [t('Processes'), asked.procs > 1 ? String(asked.procs) : null],
    [t('Nodes'), asked.nodes > 1 ? String(asked.nodes) : null],
    [t('Priority'), asked.priority ? String(asked.priority) : null]
  ];
}

function git({ git: state }: RunFull): Fact[] {
  return state
    ? [
        [t('Commit'), state.commit],
        [t('Branch'), state.branch],
        [t('State'), state.dirty ? t('with changes that were not committed') : t('clean')],
        [t('Remote'), state.remote]
      ]
    : [];
}

function input(one: RunFull['inputs'][number]): Node {
  const version = one.version === null ? '' : t('version {n}', { n: one.version });
  const more = [version, one.mode, one.path].filter(Boolean).join(' · ');
  return h('span', {}, h('b', {}, one.name), ' ', one.what, more ? h('span', { class: 'more' }, more) : '');
}

function leftOut({ snapshot }: RunFull): Node | null {
  const out = snapshot?.left_out ?? [];
  if (!out.length) {
    return null;
  }
  const rows = out.map(([path, why]) => h('li', {}, path, h('span', { class: 'more' }, why)));
  const title = plural(out.length, 'One path was left out', '{n} paths were left out');
  return h('details', { class: 'left-out' }, h('summary', {}, title), h('ul', { class: 'plain' }, ...rows));
}
