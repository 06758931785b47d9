// What can be done to a run, as buttons beside its tabs.

import type { About, RunFull, RunList } from '../api.js';
import { button, h, put, show } from '../view/dom.js';
import { moment, t } from '../view/words.js';
import { register, remove, rename, rerun, type Stage } from './actions.js';
import { ask } from './dialog.js';
import { doing } from './state.js';

export class Toolbar {
  readonly element = h('div', { class: 'actions', role: 'toolbar', 'aria-label': t('What can be done to this run') });
  private readonly actions: Record<string, HTMLButtonElement> = {};
  private run: RunFull | null = null;

  constructor(
    private readonly stage: Stage,
    private readonly compared: (runs: string[]) => void
  ) {
    this.add('rerun', t('Rerun…'), run => rerun(stage, run));
    this.add('compare', t('Compare…'), run => this.compare(run));
    this.add('register', t('Register model…'), run => register(stage, run));
    this.add('rename', t('Rename…'), run => rename(stage, run));
    put(this.add('delete', t('Delete…'), run => remove(stage, run)), 'class', 'button delete');
  }

  /** Show what *about*'s user may do to *run*. */
  draw(run: RunFull | null, about: About | null): void {
    this.run = run;
    const write = about?.can_write !== false;
    const execute = about?.can_execute !== false;
    const able: Record<string, boolean> = {
      rerun: execute && run?.kind !== 'interactive',
      compare: true,
      register: write,
      rename: write,
      delete: write
    };
    for (const [name, press] of Object.entries(this.actions)) {
      show(press, able[name] ?? true);
    }
    const going = run !== null && !run.over;
    put(this.actions['delete'] as HTMLElement, 'disabled', going);
    put(this.actions['delete'] as HTMLElement, 'title', going ? t('Stop it first') : null);
  }

  private add(name: string, label: string, work: (run: RunFull) => unknown): HTMLButtonElement {
    const press = button(label, null, true);
    doing(press, text => this.stage.tell(text), async () => this.run && work(this.run), this.stage.signal);
    this.actions[name] = press;
    this.element.append(press);
    return press;
  }

  private async compare(run: RunFull): Promise<void> {
    const query = { experiment: run.experiment, sort: '-created', limit: 100 };
    const { runs } = await this.stage.server.ask<RunList>('GET', 'api/runs', query);
    const others = runs.filter(({ id }) => id !== run.id);
    if (!others.length) {
      this.stage.tell(t('There is no other run in this experiment.'));
      return;
    }
    const choices = others.map(one => [one.id, `${one.name} · ${one.shown} · ${moment(one.created)}`] as const);
    ask(this.stage.root, {
      title: t('Compare with'),
      fields: [{ name: 'run', label: t('Run'), value: (others[0] as RunFull).id, choices }],
      yes: t('Compare'),
      work: async values => this.compared([values['run'] as string, run.id])
    }, this.stage.signal);
  }
}
