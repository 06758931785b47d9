// The tags of a run: shown, added, changed and taken away.

import { button, h, icon, on, put, say } from '../view/dom.js';
import { t } from '../view/words.js';
import { doing } from './state.js';
import { runPath, type Server } from './server.js';

export class Tags {
  readonly element = h('div', { class: 'tags' });
  private readonly chips = h('ul', { class: 'chips', 'aria-label': t('Tags') });
  private readonly field = h('input', { type: 'text', class: 'field', placeholder: t('name=value'), autocomplete: 'off' });
  private readonly add = button(t('Add tag'), null, true);
  private readonly said = h('p', { class: 'wrong', role: 'alert', 'data-look': 'bad' });
  private readonly form = h('form', { class: 'add-tag' });
  private drawn = '';

  constructor(
    private readonly server: Server,
    private readonly run: string,
    private readonly changed: () => void,
    private readonly signal: AbortSignal
  ) {
    put(this.field, 'aria-label', t('New tag: name=value'));
    put(this.add, 'type', 'button');
    const tell = (text: string): void => say(this.said, text);
    doing(this.add, tell, () => this.addTyped(), signal);
    on(this.form, 'submit', event => (event.preventDefault(), this.add.click()), signal);
    this.form.append(this.field, this.add);
    this.element.append(this.chips, this.form, this.said);
  }

  draw(tags: Record<string, string>, editable: boolean): void {
    const key = JSON.stringify([tags, editable]);
    if (key === this.drawn) {
      return;
    }
    this.drawn = key;
    this.form.hidden = !editable;
    const names = Object.keys(tags);
    this.chips.hidden = names.length === 0;
    this.chips.replaceChildren(...names.map(name => this.chip(name, tags[name] ?? '', editable)));
  }

  private chip(name: string, value: string, editable: boolean): HTMLElement {
    const text = h('span', { class: 'tag-text' }, h('b', {}, name), value === '' ? '' : h('span', {}, value));
    const chip = h('li', { class: 'chip', title: value === '' ? name : `${name}=${value}` }, text);
    if (editable) {
      const away = h('button', { type: 'button', class: 'away', 'aria-label': t('Remove tag {name}', { name }) }, icon('close'));
      doing(away, words => say(this.said, words), () => this.tell({ remove: [name] }), this.signal);
      chip.append(away);
    }
    return chip;
  }

  private async addTyped(): Promise<void> {
    const text = this.field.value.trim();
    if (!text) {
      this.field.focus();
      return;
    }
    const cut = text.indexOf('=');
    const [name, value] = cut < 0 ? [text, ''] : [text.slice(0, cut).trim(), text.slice(cut + 1).trim()];
    await this.tell({ set: { [name]: value } });
    this.field.value = '';
    this.field.focus();
  }

  private async tell(body: { set?: Record<string, string>; remove?: string[] }): Promise<void> {
    await this.server.ask('POST', runPath(this.run, 'tag'), {}, body);
    this.changed();
  }
}
