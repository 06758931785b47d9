// What stands where something is not there: it loads, there is nothing, or it failed and can be tried again.

import { button, h, icon, on, show } from '../view/dom.js';
import { t } from '../view/words.js';
import { problemOf } from './server.js';

export class State {
  readonly element = h('div', { class: 'state', role: 'status' });

  /** Something is on its way. */
  loading(text = t('Loading …')): void {
    this.put(h('span', { class: 'busy' }, icon('turn'), h('span', {}, text)));
  }

  /** There is nothing, and that is right. */
  empty(text: string): void {
    this.put(h('p', {}, text));
  }

  /** It went wrong; *again*, where trying again may help. */
  failed(error: unknown, again?: () => void): void {
    const { message, hint } = problemOf(error);
    const parts: Node[] = [h('p', { class: 'wrong', 'data-look': 'bad' }, icon('warn'), h('span', {}, message))];
    if (hint) {
      parts.push(h('p', { class: 'hint' }, hint));
    }
    if (again) {
      const retry = button(t('Try again'), null, true);
      retry.addEventListener('click', again);
      parts.push(retry);
    }
    this.put(...parts);
  }

  /** What was waited for is there. */
  done(): void {
    this.element.replaceChildren();
    show(this.element, false);
  }

  private put(...parts: Node[]): void {
    show(this.element, true);
    this.element.replaceChildren(...parts);
  }
}

/** Calls that overtake one another: only the newest counts. */
export class Latest {
  private number = 0;

  /** Whether the returned function is still that of the newest call. */
  begin(): () => boolean {
    const mine = ++this.number;
    return () => mine === this.number;
  }
}

/** A button that does something at the server: busy while it does, and what it said when it failed is shown. */
export function doing(
  press: HTMLButtonElement,
  said: (text: string) => void,
  work: () => Promise<unknown>,
  signal: AbortSignal
): void {
  on(press, 'click', () => {
    if (press.getAttribute('aria-busy') === 'true') {
      return;
    }
    press.setAttribute('aria-busy', 'true');
    said('');
    work()
      .catch((error: unknown) => {
        const { message, hint } = problemOf(error);
        said(hint ? `${message} (${hint})` : message);
      })
      .finally(() => press.removeAttribute('aria-busy'));
  }, signal);
}
