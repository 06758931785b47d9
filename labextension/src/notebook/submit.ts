// "Submit this cell as a run": the form, its line in the cell, what the notebook remembers, and the cell's run.

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { SubmitForm } from '../api.js';
import { dialogHost, tellFailure } from '../panel/actions.js';
import { submitIcon } from '../panel/icons.js';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { t } from '../view/words.js';
import { askHow } from './form.js';
import { lineOf, magicOf, readLine, withLine, writeLine, type Values } from './line.js';
import { remembered, toRemember } from './memory.js';

const KEY = 'jupyter_mlrun';

/** Register the command of the notebook's toolbar and of the palette. */
export function addSubmitForm(commands: CommandRegistry, notebooks: INotebookTracker, server: HttpServer, trans: TranslationBundle): void {
  const active = (): NotebookPanel | null => (notebooks.activeCell?.model.type === 'code' ? notebooks.currentWidget : null);
  commands.addCommand(COMMANDS.submitForm, {
    label: trans.__('Submit This Cell as a Run…'),
    caption: trans.__('Choose compute, environment and inputs, and submit the active cell'),
    icon: args => (args['toolbar'] ? submitIcon : undefined),
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => active() !== null,
    execute: async () => {
      const panel = active();
      if (panel) {
        await submit(panel, server).catch(tellFailure);
      }
    }
  });
  const changed = (): void => commands.notifyCommandChanged(COMMANDS.submitForm);
  notebooks.activeCellChanged.connect(changed);
  notebooks.currentChanged.connect(changed);
}

async function submit(panel: NotebookPanel, server: HttpServer): Promise<void> {
  const cell = panel.content.activeCell;
  const shared = cell?.model.sharedModel;
  if (!cell || !shared) {
    return;
  }
  const source = shared.getSource();
  const magic = magicOf(source);
  if (magic !== null && magic !== 'submit') {
    await showDialog({
      title: t('This cell begins with {magic}', { magic: `%%${magic}` }),
      body: t('A cell has one magic of its own: take that line away to submit the cell.'),
      buttons: [Dialog.okButton()]
    });
    return;
  }
  const form = await server.ask<SubmitForm>('GET', 'api/submit-form', { cell: source.slice(0, 4000) });
  const notebook = panel.model?.sharedModel;
  const written = lineOf(source);
  const before = remembered(notebook?.getMetadata()[KEY]);
  const first = source.split('\n').find(text => text.trim() && !text.trimStart().startsWith('%%')) ?? '';
  await askHow(dialogHost(), {
    form,
    // a line that is there says it all; a new one begins as the last one was
    line: written ?? writeLine('', before, form.options),
    title: first.trim().slice(0, 80),
    done: (line, outcome) => {
      shared.setSource(withLine(shared.getSource(), line));
      remember(panel, readLine(line, form.options).values);
      if (outcome === 'submit') {
        panel.content.activeCellIndex = panel.content.widgets.indexOf(cell);
        void NotebookActions.run(panel.content, panel.sessionContext);
      }
    }
  });
}

function remember(panel: NotebookPanel, values: Values): void {
  const notebook = panel.model?.sharedModel;
  if (!notebook) {
    return;
  }
  const metadata = notebook.getMetadata();
  const there = metadata[KEY];
  const others = typeof there === 'object' && there !== null && !Array.isArray(there) ? there : {};
  const submit = toRemember(values);
  if (JSON.stringify(submit) !== JSON.stringify(remembered(there))) {
    notebook.setMetadata({ ...metadata, [KEY]: { ...others, submit } } as typeof metadata);
  }
}
