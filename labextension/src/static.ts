// The saved output beside a living view is hidden while the view lives, and shown again after it.

import { STATIC_CLASS } from './contract.js';

const hidden = new Map<string, { sheet: CSSStyleSheet; views: number }>();

/** Hide the saved output of *view* until the returned function is called. */
export function hideStatic(view: string): () => void {
  // the name becomes part of a style rule, which must not be more than that
  if (!/^[\w-]{1,100}$/.test(view)) {
    return () => undefined;
  }
  const entry = hidden.get(view) ?? { sheet: new CSSStyleSheet(), views: 0 };
  if (entry.views++ === 0) {
    // a rule, not an attribute: the output is made anew with each refresh
    const name = `.${STATIC_CLASS}-${view}`;
    entry.sheet.insertRule(`${name} { display: none !important; }`);
    entry.sheet.insertRule(`.jp-OutputArea-child:has(${name}) { display: none !important; }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, entry.sheet];
    hidden.set(view, entry);
  }
  let done = false;
  return () => {
    if (!done && --entry.views === 0) {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter(sheet => sheet !== entry.sheet);
      hidden.delete(view);
    }
    done = true;
  };
}
