// Opens runs, and runs beside one another: in the main area, where they are there again after a reload, or as pages.

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { Widget } from '@lumino/widgets';
import { MOST_COMPARED, type RunRow } from '../api.js';
import { CompareDocument, RunDocument } from '../page/document.js';
import { hashOf, placeOf } from '../page/places.js';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { plural } from '../view/words.js';
import { runsIcon } from './icons.js';

type Area<T extends Widget> = MainAreaWidget<T>;
type Given = Record<string, unknown> | undefined;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const listOf = (value: unknown): string[] =>
  Array.isArray(value) ? [...new Set(value.filter((one): one is string => typeof one === 'string' && one !== ''))] : [];

/** Where runs are opened. */
export interface Opener {
  /** *place*: `charts`, `code/train.py:12` …, or nothing */
  run(run: string, name: string, place: string): void;
  compare(runs: readonly string[]): void;
}

/** As documents of JupyterLab. */
export class MainArea implements Opener {
  private readonly documents = new WidgetTracker<Area<RunDocument>>({ namespace: 'jupyter-mlrun-run' });
  private readonly comparisons = new WidgetTracker<Area<CompareDocument>>({ namespace: 'jupyter-mlrun-compare' });

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly server: HttpServer,
    private readonly restorer: ILayoutRestorer | null
  ) {}

  /** Bring back what was open; the commands must be there. */
  restore(): void {
    void this.restorer?.restore(this.documents, {
      command: COMMANDS.open,
      args: area => ({ run: area.content.run, name: area.content.title.label }),
      name: area => area.content.run
    });
    void this.restorer?.restore(this.comparisons, {
      command: COMMANDS.compare,
      args: area => ({ runs: [...area.content.runs] }),
      name: area => area.content.runs.join(' ')
    });
  }

  run(run: string, name: string, place: string): void {
    const found = this.documents.find(area => area.content.run === run);
    if (found) {
      this.show(found);
      if (place) {
        found.content.go(place);
      }
      return;
    }
    const { server } = this;
    const content = new RunDocument({
      run,
      server,
      open: other => void this.app.commands.execute(COMMANDS.open, { run: other }),
      compare: runs => void this.app.commands.execute(COMMANDS.compare, { runs: [...runs] }),
      ...(place ? { place } : {})
    });
    content.title.label = name || run;
    const area = this.put(this.documents, content, `jupyter-mlrun-run-area-${run}`);
    content.title.changed.connect(() => void this.documents.save(area));
  }

  compare(runs: readonly string[]): void {
    const key = JSON.stringify(runs);
    const found = this.comparisons.find(area => JSON.stringify(area.content.runs) === key);
    if (found) {
      this.show(found);
      return;
    }
    const open = (run: string): void => void this.app.commands.execute(COMMANDS.open, { run });
    const content = new CompareDocument({ runs, server: this.server, open });
    this.put(this.comparisons, content, `jupyter-mlrun-compare-${Date.now()}-${this.comparisons.size}`);
  }

  private put<T extends Widget>(tracker: WidgetTracker<Area<T>>, content: T, id: string): Area<T> {
    const area = new MainAreaWidget({ content });
    area.id = id;
    area.toolbar.hide(); // nothing is in it
    area.title.icon = runsIcon;
    area.title.closable = true;
    content.disposed.connect(() => area.dispose());
    void tracker.add(area);
    this.show(area);
    // a layout that is restored meanwhile takes away what is not in it
    void this.app.restored.then(() => area.isAttached || this.show(area));
    return area;
  }

  private show(area: Widget): void {
    if (area.isDisposed) {
      return;
    }
    if (!area.isAttached) {
      this.app.shell.add(area, 'main');
    }
    this.app.shell.activateById(area.id);
  }
}

/** As pages of their own: in Notebook 7 every document is one. */
export class Pages implements Opener {
  constructor(private readonly server: HttpServer) {}

  run(run: string, _name: string, place: string): void {
    this.open(`${this.server.address(`runs/${encodeURIComponent(run)}`)}${place && hashOf(placeOf(place))}`);
  }

  compare(runs: readonly string[]): void {
    this.open(`${this.server.address('')}#compare=${runs.map(encodeURIComponent).join(',')}`);
  }

  private open(address: string): void {
    window.open(address, '_blank', 'noopener');
  }
}

/** Register the commands that open runs; *chosen* are meant where a command names none. */
export function addOpening(opener: MainArea | Pages, commands: CommandRegistry, trans: TranslationBundle, chosen: () => RunRow[]): void {
  const wanted = (args: Given): string => textOf(args?.['run']) || (chosen()[0]?.id ?? '');
  commands.addCommand(COMMANDS.open, {
    label: trans.__('Open Run'),
    describedBy: {
      args: { type: 'object', properties: { run: { type: 'string' }, name: { type: 'string' }, place: { type: 'string' } } }
    },
    isEnabled: args => wanted(args) !== '',
    execute: args => {
      const run = wanted(args);
      if (run) {
        opener.run(run, textOf(args['name']), textOf(args['place']));
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
    isEnabled: args => several(args).length > 1 && several(args).length <= MOST_COMPARED,
    execute: args => {
      const runs = several(args).slice(0, MOST_COMPARED);
      if (runs.length) {
        opener.compare(runs);
      }
    }
  });
  if (opener instanceof MainArea) {
    opener.restore();
  }
}
