// Draws outputs that carry a run, in JupyterLab and Notebook: no kernel is needed, and no trust.

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Widget } from '@lumino/widgets';
import { labServer } from '../source/lab.js';
import { h } from '../view/dom.js';
import { setTranslation, t } from '../view/words.js';
import { MIME, read } from './data.js';
import { Healing } from './healing.js';

/** Before the widget's, which is -10: where we are, one view is enough. */
const RANK = -100;
/** In an output area, hides the output. */
const NOTHING = 'jp-mlrun-nothing';

class RunOutput extends Widget implements IRenderMime.IRenderer {
  private healing: Healing | null = null;
  private model: IRenderMime.IMimeModel | null = null;

  constructor() {
    super();
    this.addClass('jp-mlrun-rendered');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.model = model;
    const output = read(model.data[MIME]);
    this.toggleClass(NOTHING, output?.part === 'view');
    if (!output || output.part === 'view') {
      this.healing?.dispose();
      this.healing = null;
      const text = model.data['text/plain'];
      const words = typeof text === 'string' ? text : Array.isArray(text) ? text.join('') : t('This output cannot be read.');
      this.node.replaceChildren(...(output ? [] : [h('pre', {}, words)]));
      return;
    }
    if (!this.healing) {
      this.healing = new Healing(labServer(), data => this.keep(data));
      this.node.replaceChildren(this.healing.element);
    }
    this.healing.set(output);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.healing?.dispose();
      this.healing = null;
      super.dispose();
    }
  }

  private keep(data: Record<string, unknown>): void {
    const { model } = this;
    if (model && !this.isDisposed && read(data[MIME])) {
      model.setData({ data: { ...model.data, ...data } as IRenderMime.IMimeModel['data'] });
    }
  }
}

const extension: IRenderMime.IExtension = {
  id: 'jupyter_mlrun:output',
  description: 'Draws runs in the outputs of cells.',
  rendererFactory: {
    safe: true,
    mimeTypes: [MIME],
    createRenderer: options => {
      const trans = options.translator?.load('jupyter_mlrun');
      if (trans) {
        setTranslation(trans);
      }
      return new RunOutput();
    }
  },
  rank: RANK,
  dataType: 'json'
};

export default extension;
