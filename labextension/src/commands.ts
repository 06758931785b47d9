// The commands of the palette; what each does to a cell's text is a pure function.

import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

export const SUBMIT_CELL = 'jupyter_mlrun:submit-cell';

const CELL_MAGIC = /^\s*%%\w/;

/** The cell's text with `%%submit` as its first line; unchanged when a cell magic is there already. */
export function withSubmit(source: string): string {
  // a cell can have one cell magic, and only as its first line: a second one would be a syntax error
  return CELL_MAGIC.test(source) ? source : `%%submit\n${source}`;
}

/** Register `jupyter_mlrun:submit-cell`, enabled while a code cell is active. */
export function addSubmitCell(
  commands: CommandRegistry,
  notebooks: INotebookTracker,
  trans: TranslationBundle
): void {
  const codeCell = () => {
    const model = notebooks.activeCell?.model;
    return model?.type === 'code' ? model : null;
  };
  commands.addCommand(SUBMIT_CELL, {
    label: trans.__('Submit this cell as a run'),
    caption: trans.__('Put %1 on the first line of the active code cell', '%%submit'),
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => codeCell() !== null,
    execute: () => {
      const shared = codeCell()?.sharedModel;
      if (!shared) {
        return;
      }
      const source = shared.getSource();
      const submitted = withSubmit(source);
      if (submitted !== source) {
        shared.setSource(submitted);
      }
    }
  });
  const changed = (): void => commands.notifyCommandChanged(SUBMIT_CELL);
  notebooks.activeCellChanged.connect(changed);
  notebooks.currentChanged.connect(changed);
}
