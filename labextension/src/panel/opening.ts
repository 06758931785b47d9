// Opens runs, and runs beside one another, in the main area; they are there again after a reload.

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Widget } from '@lumino/widgets';
import type { RunRow } from '../api.js';
import { CompareDocument, RunDocument } from '../page/document.js';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { plural } from '../view/words.js';
import { runsIcon } from './icons.js';

/** Runs that can be read beside one another. */
const MOST = 50;

type Area<T extends Widget> = MainAreaWidget<T>;
type Given = Record<string, unknown> | undefined;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const listOf = (value: unknown): string[] =>
  Array.isArray(value) ? [...new Set(value.filter((one): one is string => typeof one === 'string' && one !== ''))] : [];

/** Register the commands that open runs; *chosen* are meant where a command names none. */
export function addOpening(
  app: JupyterFrontEnd,
  server: HttpServer,
  trans: TranslationBundle,
  restorer: ILayoutRestorer | null,
  chosen: () => RunRow[]
): void {
  const { commands } = app;
  const open = (run: string): void => void commands.execute(COMMANDS.open, { run });
  const compare = (runs: readonly string[]): void => void commands.execute(COMMANDS.compare, { runs: [...runs] });
  const documents = new WidgetTracker<Area<RunDocument>>({ namespace: 'jupyter-mlrun-run' });
  const comparisons = new WidgetTracker<Area<CompareDocument>>({ namespace: 'jupyter-mlrun-compare' });
  const put = <T extends Widget>(tracker: WidgetTracker<Area<T>>, content: T, id: string): Area<T> => {
    const area = new MainAreaWidget({ content });
    area.id = id;
    area.toolbar.hide(); // nothing is in it
    area.title.icon = runsIcon;
    area.title.closable = true;
    content.disposed.connect(() => area.dispose());
    void tracker.add(area);
    app.shell.add(area, 'main');
    app.shell.activateById(id);
    return area;
  };

  const wanted = (args: Given): string => textOf(args?.['run']) || (chosen()[0]?.id ?? '');
  commands.addCommand(COMMANDS.open, {
    label: trans.__('Open Run'),
    describedBy: {
      args: { type: 'object', properties: { run: { type: 'string' }, name: { type: 'string' }, place: { type: 'string' } } }
    },
    isEnabled: args => wanted(args) !== '',
    execute: args => {
      const run = wanted(args);
      const place = textOf(args['place']);
      const found = documents.find(area => area.content.run === run);
      if (found) {
        app.shell.activateById(found.id);
        if (place) {
          found.content.go(place);
        }
      } else if (run) {
        const content = new RunDocument({ run, server, open, compare, ...(place ? { place } : {}) });
        content.title.label = textOf(args['name']) || run;
        const area = put(documents, content, `jupyter-mlrun-run-area-${run}`);
        content.title.changed.connect(() => void documents.save(area));
      }
    }
  });

  const several = (args: Given): string[] => {
    const named = listOf(args?.['runs']);
    return named.length ? named : chosen().map(run => run.id);
  };
  commands.addCommand(COMMANDS.compare, {
    label: args => {
      const n = several(args).length;
      return n > 1 ? plural(n, 'Compare {n} Run', 'Compare {n} Runs') : trans.__('Compare Runs');
    },
    describedBy: { args: { type: 'object', properties: { runs: { type: 'array', items: { type: 'string' } } } } },
    isEnabled: args => several(args).length > 1 && several(args).length <= MOST,
    execute: args => {
      const runs = several(args).slice(0, MOST);
      const key = JSON.stringify(runs);
      const found = comparisons.find(area => JSON.stringify(area.content.runs) === key);
      if (found) {
        app.shell.activateById(found.id);
      } else if (runs.length) {
        put(comparisons, new CompareDocument({ runs, server, open }), `jupyter-mlrun-compare-${Date.now()}-${comparisons.size}`);
      }
    }
  });

  if (restorer) {
    void restorer.restore(documents, {
      command: COMMANDS.open,
      args: area => ({ run: area.content.run, name: area.content.title.label }),
      name: area => area.content.run
    });
    void restorer.restore(comparisons, {
      command: COMMANDS.compare,
      args: area => ({ runs: [...area.content.runs] }),
      name: area => area.content.runs.join(' ')
    });
  }
}
