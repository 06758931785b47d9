// Wires the extension into JupyterLab: it registers, the modules beside it do the work.

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addSubmitCell, SUBMIT_CELL } from './commands.js';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_mlrun:plugin',
  description: 'Submits notebook cells as runs.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_mlrun');
    addSubmitCell(app.commands, notebooks, trans);
    palette?.addItem({ command: SUBMIT_CELL, category: trans.__('Runs') });
  }
};

export default plugin;
