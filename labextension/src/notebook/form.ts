// The form in front of a notebook: how the active cell is to run.  It shows the line that it writes.

import type { FormOption, Named, SubmitForm } from '../api.js';
import { button, h, on, put, say } from '../view/dom.js';
import { t } from '../view/words.js';
import { readLine, writeLine, type Values } from './line.js';

/** Options that the form asks for; all others stay as the line has them. */
export const ASKED = ['target', 'env', 'inputs', 'experiment', 'name', 'tags', 'gpus', 'time'] as const;

export type Outcome = 'submit' | 'write';

export interface FormWish {
  form: SubmitForm;
  /** the line as it is, with what the notebook remembers */
  line: string;
  /** what the cell is called */
  title: string;
  done(line: string, outcome: Outcome): void;
}

let count = 0;

/** Ask; resolved when the form is gone. */
export function askHow(root: HTMLElement, wish: FormWish): Promise<void> {
  const made = new SubmitDialog(wish, `jupyter-mlrun-submit-${++count}`);
  return made.show(root);
}

class SubmitDialog {
  private readonly end = new AbortController();
  private readonly dialog: HTMLDialogElement;
  private readonly preview = h('code', { class: 'line' });
  private readonly fields = new Map<string, HTMLInputElement | HTMLSelectElement>();
  private readonly inputs = h('div', { class: 'inputs' });
  private readonly values: Values;
  private readonly options: readonly FormOption[];
  private readonly lists = new Map<string, HTMLElement>();
  private leave: () => void = () => undefined;

  constructor(
    private readonly wish: FormWish,
    private readonly id: string
  ) {
    this.options = wish.form.options;
    this.values = readLine(wish.line, this.options).values;
    this.dialog = h('dialog', { class: 'dialog submit-form', 'aria-labelledby': id });
  }

  show(root: HTMLElement): Promise<void> {
    const { signal } = this.end;
    const before = document.activeElement;
    this.build(signal);
    root.append(this.dialog);
    return new Promise(resolve => {
      this.leave = () => {
        if (!signal.aborted) {
          this.end.abort();
          this.dialog.close();
          this.dialog.remove();
          if (before instanceof HTMLElement && before.isConnected) {
            before.focus();
          }
          resolve();
        }
      };
      this.dialog.showModal();
      this.fields.get('target')?.focus();
      this.draw();
    });
  }

  private build(signal: AbortSignal): void {
    const { form } = this.wish;
    const [submit, write, no] = [button(t('Submit'), null, true), button(t('Write the line only'), null, true), button(t('Cancel'), null, true)];
    put(submit, 'type', 'submit');
    put(submit, 'class', 'button primary');
    const add = button(t('Add an input'), null, true);
    on(add, 'click', () => this.addInput('', '')?.focus(), signal);
    const rows = h('div', { class: 'fields' },
      this.row('target', t('Compute'), this.select(form.computes, 'local')),
      this.row('env', t('Environment'), this.open(form.environments, t('this interpreter')), t('a name, requirements.txt or a conda .yml')),
      h('fieldset', {}, h('legend', {}, t('Inputs')), this.inputs, add),
      this.row('experiment', t('Experiment'), this.open(form.experiments.map(name => ({ name, about: '' })), t('the notebook’s name'))),
      this.row('name', t('Name of the run'), this.open([], '')),
      this.row('tags', t('Tags'), this.open([], t('stage=test, note=first')), t('parted by commas')),
      h('div', { class: 'pair' }, this.row('gpus', t('GPUs'), this.open(['auto', 'all', '0', '1'].map(name => ({ name, about: '' })), t('auto'))), this.row('time', t('Time limit'), this.open([], t('none, or 90m, 2h')))));
    for (const text of this.values['inputs'] ?? []) {
      const cut = text.indexOf('=');
      this.addInput(cut < 0 ? '' : text.slice(0, cut), cut < 0 ? text : text.slice(cut + 1));
    }
    const shown = h('div', { class: 'preview' }, h('span', { class: 'what' }, t('First line of the cell')), this.preview);
    const body = h('form', { method: 'dialog' }, h('h2', { id: this.id }, t('Submit this cell as a run')), h('p', { class: 'hint' }, this.wish.title), rows, shown, h('div', { class: 'buttons' }, no, write, submit));
    this.dialog.append(body);
    on(body, 'input', () => this.draw(), signal);
    on(no, 'click', () => this.leave(), signal);
    on(write, 'click', () => this.finish('write'), signal);
    on(body, 'submit', event => (event.preventDefault(), this.finish('submit')), signal);
    on(this.dialog, 'cancel', event => (event.preventDefault(), this.leave()), signal);
    on(this.dialog, 'keydown', event => {
      // JupyterLab has shortcuts of one key
      event.stopPropagation();
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || event.shiftKey)) {
        event.preventDefault();
        this.finish('submit');
      }
    }, signal);
  }

  private finish(outcome: Outcome): void {
    const line = this.line();
    this.leave();
    this.wish.done(line, outcome);
  }

  private row(name: (typeof ASKED)[number], label: string, field: HTMLInputElement | HTMLSelectElement, hint = ''): HTMLElement {
    const id = `${this.id}-${name}`;
    put(field, 'id', id);
    const known = this.values[name] ?? [];
    const value = name === 'tags' ? known.map(tag => tag.replaceAll(',', '\\,')).join(', ') : (known[0] ?? '');
    if (field instanceof HTMLSelectElement && value && !Array.from(field.options).some(option => option.value === value)) {
      field.append(h('option', { value }, value));
    }
    if (value || field instanceof HTMLInputElement) {
      field.value = value;
    }
    this.fields.set(name, field);
    const row = h('div', { class: 'row-of-form' }, h('label', { for: id }, label), field);
    if (hint) {
      put(field, 'aria-describedby', `${id}-hint`);
      row.append(h('p', { class: 'hint', id: `${id}-hint` }, hint));
    }
    const list = field.getAttribute('list');
    if (list) {
      row.append(this.lists.get(list) as Node);
    }
    return row;
  }

  private select(named: readonly Named[], first: string): HTMLSelectElement {
    const sorted = [...named].sort((a, b) => Number(b.name === first) - Number(a.name === first));
    const options = sorted.map(({ name, about }) => h('option', { value: name }, about && about !== name ? `${name} (${about})` : name));
    return h('select', { class: 'field' }, ...options);
  }

  /** A field in which anything can be typed, and what is known is offered. */
  private open(named: readonly Named[], placeholder: string): HTMLInputElement {
    const input = h('input', { type: 'text', class: 'field', placeholder, autocomplete: 'off', spellcheck: 'false' });
    if (named.length) {
      const list = `${this.id}-list-${this.lists.size}`;
      this.lists.set(list, h('datalist', { id: list }, ...named.map(({ name, about }) => h('option', { value: name }, about))));
      put(input, 'list', list);
    }
    return input;
  }

  private addInput(name: string, data: string): HTMLInputElement {
    const names = h('input', { type: 'text', class: 'field input-name', placeholder: t('name'), 'aria-label': t('Name of the input'), autocomplete: 'off', spellcheck: 'false' });
    const datas = this.open(this.wish.form.datasets, t('dataset[:version], or a folder'));
    put(datas, 'class', 'field input-data');
    put(datas, 'aria-label', t('Data of the input'));
    [names.value, datas.value] = [name, data];
    const away = button(t('Remove this input'), 'close');
    const row = h('div', { class: 'input' }, names, h('span', { 'aria-hidden': 'true' }, '='), datas, away);
    const list = datas.getAttribute('list');
    if (list) {
      row.append(this.lists.get(list) as Node);
    }
    away.addEventListener('click', () => {
      row.remove();
      this.draw();
    });
    this.inputs.append(row);
    return names;
  }

  /** What the fields say, as options. */
  private changes(): Values {
    const text = (name: string): string => this.fields.get(name)?.value.trim() ?? '';
    const one = (name: string): string[] => (text(name) ? [text(name)] : []);
    const target = text('target');
    const inputs = Array.from(this.inputs.children).flatMap(row => {
      const [name, data] = Array.from(row.querySelectorAll('input')).map(input => input.value.trim()) as [string, string];
      return data ? [name ? `${name}=${data}` : data] : [];
    });
    return {
      // the local compute is meant where none is named
      target: target === 'local' && !this.values['target'] ? [] : one('target'),
      env: one('env'),
      inputs,
      experiment: one('experiment'),
      name: one('name'),
      tags: text('tags').split(/(?<!\\),/).map(tag => tag.replaceAll('\\,', ',').trim()).filter(Boolean),
      gpus: one('gpus'),
      time: one('time')
    };
  }

  private line(): string {
    return writeLine(this.wish.line, this.changes(), this.options);
  }

  private draw(): void {
    say(this.preview, `%%submit ${this.line()}`.trim());
  }
}
