// The menus of the sidebar: of a run, of the order, of the filter.

import type { TranslationBundle } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import type { Menu } from '@lumino/widgets';
import { COMMANDS } from '../tokens.js';
import { tagsOf, withWord } from './filter.js';
import type { RunsPanel } from './panel.js';

/** The menu of the runs that are picked. */
export function runMenu(commands: CommandRegistry, closed: () => void): Menu {
  const menu = new MenuSvg({ commands });
  menu.aboutToClose.connect(() => void requestAnimationFrame(closed));
  menu.addClass('jp-mlrun-menu');
  const groups = [
    [COMMANDS.open, COMMANDS.openTab, COMMANDS.compare],
    [COMMANDS.stop, COMMANDS.rerun],
    [COMMANDS.rename, COMMANDS.tag, COMMANDS.register, COMMANDS.copyId],
    [COMMANDS.delete]
  ];
  groups.forEach((group, i) => {
    if (i) {
      menu.addItem({ type: 'separator' });
    }
    for (const command of group) {
      menu.addItem({ command });
    }
  });
  return menu;
}

/** A menu that is made when it is opened, and gone when it is closed: its commands are nobody else's. */
class Once {
  private readonly commands = new CommandRegistry();
  readonly menu = new MenuSvg({ commands: this.commands });
  private count = 0;

  constructor(closed: () => void) {
    this.menu.aboutToClose.connect(menu => void requestAnimationFrame(() => {
      menu.dispose();
      closed();
    }));
  }

  add(menu: Menu, label: string, execute: () => void, toggled?: boolean): void {
    const command = `choice-${this.count++}`;
    this.commands.addCommand(command, {
      label,
      mnemonic: -1,
      execute,
      ...(toggled === undefined ? {} : { isToggled: () => toggled, isToggleable: true })
    });
    menu.addItem({ command });
  }

  submenu(label: string): Menu {
    const submenu = new MenuSvg({ commands: this.commands });
    submenu.title.label = label;
    this.menu.addItem({ type: 'submenu', submenu });
    return submenu;
  }

  open(at: DOMRect): void {
    this.menu.open(at.left, at.bottom);
  }
}

/** Order and grouping. */
export function sortMenu(panel: RunsPanel, at: DOMRect, trans: TranslationBundle, closed: () => void): void {
  const once = new Once(closed);
  const { sort, grouped } = panel.view;
  const orders: [string, string][] = [
    ['-created', trans.__('Newest first')],
    ['created', trans.__('Oldest first')],
    ['name', trans.__('By name')],
    ['status', trans.__('By status')],
    ['-elapsed', trans.__('Longest first')]
  ];
  for (const [order, label] of orders) {
    once.add(once.menu, label, () => panel.keep({ sort: order }), sort === order);
  }
  const metrics = [...new Set([...panel.lists.tree.known().values()].flatMap(run => Object.keys(run.metrics)))].sort().slice(0, 30);
  if (metrics.length) {
    once.menu.addItem({ type: 'separator' });
    for (const [down, label] of [['-', trans.__('Largest metric first')], ['', trans.__('Smallest metric first')]] as const) {
      const submenu = once.submenu(label);
      for (const name of metrics) {
        once.add(submenu, name, () => panel.keep({ sort: `${down}metric:${name}` }), sort === `${down}metric:${name}`);
      }
    }
  }
  once.menu.addItem({ type: 'separator' });
  once.add(once.menu, trans.__('Group by experiment'), () => panel.keep({ grouped: !grouped }), grouped);
  once.open(at);
}

/** Tags and computes that the runs have. */
export function filterMenu(panel: RunsPanel, at: DOMRect, trans: TranslationBundle, closed: () => void): void {
  const once = new Once(closed);
  const rows = [...panel.lists.tree.known().values()];
  const computes = [...new Set(rows.map(run => run.target))].sort().slice(0, 30);
  const tags = tagsOf(rows);
  const offer = (menu: Menu, name: 'tag' | 'compute', values: string[]): void => {
    for (const value of values) {
      once.add(menu, value, () => (panel.filter = withWord(panel.filter, name, value)));
    }
  };
  if (computes.length) {
    offer(once.submenu(trans.__('Compute')), 'compute', computes);
  }
  if (tags.length) {
    offer(once.submenu(trans.__('Tag')), 'tag', tags);
  } else {
    once.add(once.menu, trans.__('No run has tags'), () => undefined);
  }
  once.menu.addItem({ type: 'separator' });
  once.add(once.menu, trans.__('Clear the filter'), () => (panel.filter = ''));
  once.open(at);
}
