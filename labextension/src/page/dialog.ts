// A question in front of the page: fields, a button that does it, one that does not; Escape leaves it.

import { button, h, on, put, say } from '../view/dom.js';
import { t } from '../view/words.js';
import { problemOf } from './server.js';

export interface Field {
  name: string;
  label: string;
  value: string;
  hint?: string;
  /** chosen from these */
  choices?: readonly (readonly [value: string, label: string])[];
  required?: boolean;
  /** in a group of its own, under this title */
  group?: string;
}

export interface Asked {
  title: string;
  text?: string;
  fields?: readonly Field[];
  yes: string;
  /** what cannot be undone has another colour */
  danger?: boolean;
  /** does it; a rejection is shown, and the dialog stays */
  work(values: Record<string, string>): Promise<unknown>;
}

let count = 0;

/** Ask in *root*; the dialog is gone when it is done, when it is left, or when *signal* ends. */
export function ask(root: HTMLElement, asked: Asked, signal: AbortSignal): void {
  const id = `jupyter-mlrun-dialog-${++count}`;
  const before = document.activeElement;
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': id });
  const form = h('form', { method: 'dialog' });
  const wrong = h('p', { class: 'wrong', role: 'alert', 'data-look': 'bad' });
  const [yes, no] = [button(asked.yes, null, true), button(t('Cancel'), null, true)];
  put(yes, 'type', 'submit');
  put(yes, 'class', asked.danger ? 'button danger' : 'button primary');
  const inputs = (asked.fields ?? []).map((field, i) => ({ field, input: inputOf(field, `${id}-${i}`) }));
  form.append(h('h2', { id }, asked.title));
  if (asked.text) {
    form.append(h('p', {}, asked.text));
  }
  form.append(...rows(inputs), wrong, h('div', { class: 'buttons' }, no, yes));
  dialog.append(form);
  const ended = new AbortController();
  const leave = (): void => {
    ended.abort();
    dialog.close();
    dialog.remove();
    if (before instanceof HTMLElement && before.isConnected) {
      before.focus();
    }
  };
  signal.addEventListener('abort', leave, { signal: ended.signal });
  on(no, 'click', leave, ended.signal);
  on(dialog, 'cancel', event => (event.preventDefault(), leave()), ended.signal);
  // what is typed here is for nobody else: pages have shortcuts of one key
  on(dialog, 'keydown', event => event.stopPropagation(), ended.signal);
  on(form, 'submit', event => {
    event.preventDefault();
    if (yes.disabled) {
      return;
    }
    yes.disabled = true;
    say(wrong, '');
    asked.work(Object.fromEntries(inputs.map(({ field, input }) => [field.name, input.value]))).then(leave, error => {
      yes.disabled = false;
      const { message, hint } = problemOf(error);
      say(wrong, hint ? `${message} (${hint})` : message);
    });
  }, ended.signal);
  root.append(dialog);
  dialog.showModal();
  (inputs[0]?.input ?? (asked.danger ? no : yes)).focus();
}

type Input = HTMLInputElement | HTMLSelectElement;

function inputOf(field: Field, id: string): Input {
  const shared = { id, class: 'field', required: field.required, 'aria-describedby': field.hint ? `${id}-hint` : null };
  if (field.choices) {
    const options = field.choices.map(([value, label]) => h('option', { value }, label));
    const select = h('select', shared, ...options);
    select.value = field.value;
    return select;
  }
  const input = h('input', { ...shared, type: 'text', autocomplete: 'off', spellcheck: 'false' });
  input.value = field.value;
  return input;
}

function rows(inputs: readonly { field: Field; input: Input }[]): Node[] {
  const made: Node[] = [];
  let group: HTMLElement | null = null;
  let name = '';
  for (const { field, input } of inputs) {
    if ((field.group ?? '') !== name) {
      name = field.group ?? '';
      group = name ? h('fieldset', {}, h('legend', {}, name)) : null;
      if (group) {
        made.push(group);
      }
    }
    const row = h('div', { class: 'row-of-form' }, h('label', { for: input.id }, field.label), input);
    if (field.hint) {
      row.append(h('p', { class: 'hint', id: `${input.id}-hint` }, field.hint));
    }
    group ? group.append(row) : made.push(row);
  }
  return made;
}
