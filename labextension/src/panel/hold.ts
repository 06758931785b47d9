// Whether the keyboard is in a list, also while the element that had it is taken away.

/** What stands in front of the page for a while: when it is gone the keyboard is back where it was. */
const PASSING = 'dialog, .lm-Menu, .jp-Dialog';

/** The part of a document that is used here. */
type Page = Pick<Document, 'addEventListener' | 'activeElement' | 'body'>;

export class Hold {
  /** nobody took the keyboard elsewhere since it was here */
  held = false;

  constructor(
    private readonly element: HTMLElement,
    signal: AbortSignal,
    private readonly page: Page = document
  ) {
    const moved = (event: Event): void => {
      const target = event.target as Element | null;
      if (target && this.element.contains(target)) {
        this.held = true;
      } else if (!target?.closest?.(PASSING)) {
        this.held = false;
      }
    };
    // that an element loses the focus says nothing: it may have been removed, or the window left
    page.addEventListener('focusin', moved, { capture: true, signal });
    page.addEventListener('pointerdown', moved, { capture: true, signal });
  }

  /** Whether the keyboard was here, and is nowhere now. */
  get lost(): boolean {
    const { activeElement, body } = this.page;
    return this.held && (activeElement === null || activeElement === body);
  }

  /** Whether the keyboard is here, or was and is nowhere now. */
  get ours(): boolean {
    return this.lost || this.element.contains(this.page.activeElement);
  }
}
