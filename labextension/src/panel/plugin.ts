// The sidebar, the status bar and the commands of runs, as a plugin of JupyterLab.

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { Notification, type ICommandPalette } from '@jupyterlab/apputils';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { labServer } from '../source/lab.js';
import { COMMANDS, PLUGIN } from '../tokens.js';
import { addActions } from './actions.js';
import { ActiveRuns } from './active.js';
import { runsIcon } from './icons.js';
import { filterMenu, runMenu, sortMenu } from './menus.js';
import { addOpening, MainArea, Pages } from './opening.js';
import { RunsPanel, type Kept } from './panel.js';

/** What JupyterLab gives, where it has it. */
export interface Around {
  restorer: ILayoutRestorer | null;
  palette: ICommandPalette | null;
  registry: ISettingRegistry | null;
  statusBar: IStatusBar | null;
  trans: TranslationBundle;
  /** whether the main area holds several documents; Notebook 7 has one to a page */
  hasRoom: boolean;
}

export function addRuns(app: JupyterFrontEnd, around: Around): void {
  const { restorer, palette, registry, statusBar, trans, hasRoom } = around;
  const { commands } = app;
  const server = labServer(app.serviceManager.serverSettings);
  const settings = new Settings(registry);
  const menu = runMenu(commands, () => panel.back());
  const panel = new RunsPanel({
    server,
    execute: (command, args = {}) => {
      if (commands.isEnabled(command, args as never)) {
        void commands.execute(command, args as never);
      } else if (command === COMMANDS.submitForm) {
        Notification.info(trans.__('Open a notebook and choose a code cell first.'), { autoClose: 5000 });
      }
    },
    runMenu: ({ x, y }) => menu.open(x, y),
    sortMenu: (at, closed) => sortMenu(panel, at, trans, closed),
    filterMenu: (at, closed) => filterMenu(panel, at, trans, closed),
    keep: kept => settings.keep(kept)
  });
  const chosen = () => panel.chosenRuns();
  addOpening(hasRoom ? new MainArea(app, server, restorer) : new Pages(server), commands, trans, chosen);
  addActions(commands, server, trans, chosen, ids => panel.deleted(ids));
  commands.addCommand(COMMANDS.show, {
    label: trans.__('Show Runs'),
    icon: runsIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: () => app.shell.activateById(panel.id)
  });
  app.shell.add(panel, 'left', { rank: 250 });
  restorer?.add(panel, panel.id);
  for (const command of [COMMANDS.show, COMMANDS.compare, COMMANDS.stop, COMMANDS.rerun, COMMANDS.delete]) {
    palette?.addItem({ command, category: trans.__('Runs'), args: { isPalette: true } });
  }
  const active = new ActiveRuns({
    server,
    show: () => void commands.execute(COMMANDS.show),
    open: (run, name) => void commands.execute(COMMANDS.open, { run, name }),
    tells: status => settings.tells(status)
  });
  statusBar?.registerStatusItem('jupyter_mlrun:active', {
    item: active,
    align: 'left',
    rank: 50,
    isActive: () => settings.statusBar,
    activeStateChanged: settings.changed
  });
  void settings.load(kept => panel.restore(kept));
}

/** The settings, or what holds where there are none. */
class Settings {
  statusBar = true;
  readonly changed = new Signal<Settings, void>(this);
  private notify = true;
  private onlyFailures = false;
  private loaded: ISettingRegistry.ISettings | null = null;
  private writing = 0;

  constructor(private readonly registry: ISettingRegistry | null) {}

  tells(status: string): boolean {
    return this.notify && (!this.onlyFailures || status === 'Failed');
  }

  async load(restore: (kept: Partial<Kept>) => void): Promise<void> {
    if (!this.registry) {
      return;
    }
    try {
      this.loaded = await this.registry.load(PLUGIN);
    } catch (error) {
      console.warn('jupyter_mlrun: its settings cannot be read', error);
      return;
    }
    const { loaded } = this;
    const read = (): void => {
      const get = (name: string): unknown => loaded.get(name).composite;
      this.notify = get('notify') !== false;
      this.onlyFailures = get('notifyOnlyFailures') === true;
      this.statusBar = get('showStatusBar') !== false;
      this.changed.emit();
      if (!this.writing) {
        const sort = get('sort');
        restore({
          grouped: get('groupByExperiment') !== false,
          machine: get('showMachine') !== false,
          ...(typeof sort === 'string' && sort ? { sort } : {})
        });
      }
    };
    loaded.changed.connect(read);
    read();
  }

  /** Keep how the list is shown. */
  keep(kept: Kept): void {
    const { loaded } = this;
    if (!loaded) {
      return;
    }
    const wanted = { sort: kept.sort, groupByExperiment: kept.grouped, showMachine: kept.machine };
    this.writing++;
    const writes = Object.entries(wanted)
      .filter(([name, value]) => loaded.get(name).composite !== value)
      .map(([name, value]) => loaded.set(name, value));
    void Promise.all(writes)
      .catch((error: unknown) => console.warn('jupyter_mlrun: its settings cannot be written', error))
      .finally(() => this.writing--);
  }
}
