// The live view as an anywidget: one panel in the output of a cell, fed by the kernel.

import { CommSource, type Model } from './source/comm.js';
import { hideStatic } from './static.js';
import { Panel } from './view/panel.js';

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const source = new CommSource(model);
  const panel = new Panel(source);
  el.append(panel.element);
  const restore = hideStatic(source.view);
  return () => {
    panel.dispose();
    restore();
  };
}

export default { render };
