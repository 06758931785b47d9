// Wires the extension into JupyterLab: it registers, the modules beside it do the work.

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addSubmitCell, SUBMIT_CELL } from './commands.js';
import { addOpening } from './panel/opening.js';
import { labServer } from './source/lab.js';
import { DOMAIN, PLUGIN } from './tokens.js';
import { setTranslation } from './view/words.js';

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
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
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    addSubmitCell(app.commands, notebooks, trans);
    palette?.addItem({ command: SUBMIT_CELL, category: trans.__('Runs') });
  }
};

const opening: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_mlrun:open',
  description: 'Opens runs in the main area.',
  autoStart: true,
  optional: [ILayoutRestorer, ITranslator],
  activate: (app: JupyterFrontEnd, restorer: ILayoutRestorer | null, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    setTranslation(text => trans.__(text));
    addOpening(app, labServer(app.serviceManager.serverSettings), trans, restorer);
  }
};

export default [plugin, opening];
