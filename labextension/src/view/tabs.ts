// The tabs of the panel: arrow keys move, one panel shows what the tab names.

import { h, on, put, say } from './dom.js';

export interface Tab<Name extends string> {
  name: Name;
  label: string;
}

let count = 0;

export class Tabs<Name extends string> {
  readonly element = h('div', { class: 'tabs', role: 'tablist' });
  private readonly buttons = new Map<Name, { tab: HTMLButtonElement; badge: HTMLElement }>();
  private readonly id = `jupyter-mlrun-tabs-${++count}`;
  current: Name;

  constructor(
    tabs: readonly Tab<Name>[],
    private readonly panel: HTMLElement,
    label: string,
    private readonly chosen: (name: Name) => void,
    signal: AbortSignal
  ) {
    this.current = (tabs[0] as Tab<Name>).name;
    put(this.element, 'aria-label', label);
    for (const { name, label: text } of tabs) {
      const badge = h('span', { class: 'badge', hidden: true });
      const id = `${this.id}-${name}`;
      const tab = h('button', { type: 'button', role: 'tab', class: 'tab', id }, h('span', {}, text), badge);
      on(tab, 'click', () => this.choose(name), signal);
      this.buttons.set(name, { tab, badge });
      this.element.append(tab);
    }
    put(panel, 'role', 'tabpanel');
    put(panel, 'id', `${this.id}-panel`);
    this.buttons.forEach(({ tab }) => put(tab, 'aria-controls', panel.id));
    on(this.element, 'keydown', event => this.key(event), signal);
    this.mark();
  }

  choose(name: Name): void {
    this.current = name;
    this.mark();
    this.chosen(name);
  }

  /** A small text beside a tab's name. */
  badge(name: Name, text: string): void {
    const badge = this.buttons.get(name)?.badge;
    if (badge) {
      say(badge, text);
      badge.hidden = !text;
    }
  }

  /** Show or hide a tab. */
  offer(name: Name, offered: boolean): void {
    const button = this.buttons.get(name)?.tab;
    if (button) {
      button.hidden = !offered;
    }
  }

  private mark(): void {
    for (const [name, { tab }] of this.buttons) {
      const current = name === this.current;
      put(tab, 'aria-selected', String(current));
      put(tab, 'tabindex', current ? 0 : -1);
      if (current) {
        put(this.panel, 'aria-labelledby', tab.id);
      }
    }
  }

  private key(event: KeyboardEvent): void {
    const names = [...this.buttons].filter(([, { tab }]) => !tab.hidden).map(([name]) => name);
    const at = names.indexOf(this.current);
    const to: Record<string, number> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: names.length - 1 };
    const target = to[event.key];
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const name = names[(target + names.length) % names.length] as Name;
    this.choose(name);
    this.buttons.get(name)?.tab.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
