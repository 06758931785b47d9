// The page's colours for canvases: read from the style sheet, and again when the theme changes.

import type { Palette } from './plot.js';

export class Theme {
  private read: Palette | null = null;

  constructor(
    private readonly root: HTMLElement,
    changed: () => void,
    signal: AbortSignal
  ) {
    const again = (): void => {
      this.read = null;
      changed();
    };
    // JupyterLab names its theme on the body, and loads its style sheet a moment before or after
    const watched = new MutationObserver(again);
    for (const element of [document.body, document.documentElement]) {
      watched.observe(element, { attributes: true, attributeFilter: ['data-jp-theme-name', 'data-jp-theme-light', 'class', 'data-theme', 'style'] });
    }
    for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)', '(prefers-contrast: more)']) {
      matchMedia(query).addEventListener('change', again, { signal });
    }
    signal.addEventListener('abort', () => watched.disconnect());
  }

  /** The colours now. */
  palette(): Palette {
    this.read ??= this.compute();
    return this.read;
  }

  private compute(): Palette {
    const style = getComputedStyle(this.root);
    // a custom property may be a formula: the browser resolves it where a property of colour has it
    const probe = document.createElement('span');
    this.root.append(probe);
    const color = (name: string): string => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const palette = {
      line: color('--mlr-line'),
      faint: color('--mlr-faint'),
      band: color('--mlr-band'),
      grid: color('--mlr-grid'),
      text: color('--mlr-dim'),
      bad: color('--mlr-bad'),
      font: `11px ${style.fontFamily}`
    };
    probe.remove();
    return palette;
  }
}
