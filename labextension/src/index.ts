// Wires the extension into JupyterLab: it registers, the modules beside it do the work.

import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ICompletionProviderManager } from '@jupyterlab/completer';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addSubmitCell, SUBMIT_CELL } from './commands.js';
import { SubmitCompletions } from './notebook/provider.js';
import { addSubmitForm } from './notebook/submit.js';
import { addRuns } from './panel/plugin.js';
import { labServer } from './source/lab.js';
import { COMMANDS, DOMAIN, PLUGIN } from './tokens.js';
import { setTranslation } from './view/words.js';

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'Lists runs in the sidebar, opens them, and says when they end.',
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette, ISettingRegistry, IStatusBar, ITranslator, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
    statusBar: IStatusBar | null,
    translator: ITranslator | null,
    labShell: ILabShell | null
  ): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    // before anything of ours is made: words are looked up when they are shown
    setTranslation(trans);
    addRuns(app, { restorer, palette, registry, statusBar, trans, hasRoom: labShell !== null });
  }
};

const notebook: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_mlrun:notebook',
  description: 'Submits notebook cells as runs.',
  autoStart: true,
  // Notebook 7 has pages without any
  optional: [INotebookTracker, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    if (!notebooks) {
      return;
    }
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    addSubmitCell(app.commands, notebooks, trans);
    addSubmitForm(app.commands, notebooks, labServer(app.serviceManager.serverSettings), trans);
    for (const command of [COMMANDS.submitForm, SUBMIT_CELL]) {
      palette?.addItem({ command, category: trans.__('Runs') });
    }
  }
};

const completion: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_mlrun:completion',
  description: 'Completes the options of %%submit, and what they take.',
  autoStart: true,
  optional: [ICompletionProviderManager],
  activate: (app: JupyterFrontEnd, completions: ICompletionProviderManager | null): void => {
    completions?.registerProvider(new SubmitCompletions(labServer(app.serviceManager.serverSettings)));
  }
};

export default [plugin, notebook, completion];
