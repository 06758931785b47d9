// Opens runs in the main area, and has them there again after a reload.

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { Panel } from '../view/panel.js';
import { runsIcon } from './icons.js';

/** One run as the live view shows it. */
class RunDocument extends Widget {
  private readonly panel: Panel;
  private readonly end: () => void;

  constructor({ run, server }: { run: string; server: HttpServer }) {
    super();
    this.addClass('jp-mlrun-document');
    const { source, end } = server.follow(run);
    this.panel = new Panel(source);
    this.end = end;
    this.node.append(this.panel.element);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.panel.dispose();
      this.end();
      super.dispose();
    }
  }
}

type Area = MainAreaWidget<Widget> & { runs?: string[] };

/** Register the commands that open runs. */
export function addOpening(
  app: JupyterFrontEnd,
  server: HttpServer,
  trans: TranslationBundle,
  restorer: ILayoutRestorer | null
): void {
  const documents = new WidgetTracker<Area>({ namespace: 'jupyter-mlrun-run' });
  const named = (runs: string[]): string => `jupyter-mlrun-${runs.join('-')}`;
  const put = (runs: string[], content: () => Widget, title: string): Area => {
    const id = named(runs);
    const found = documents.find(area => area.id === id);
    if (found) {
      app.shell.activateById(found.id);
      return found;
    }
    const area: Area = new MainAreaWidget({ content: content() });
    area.id = id;
    area.runs = runs;
    area.title.label = title;
    area.title.caption = title;
    area.title.icon = runsIcon;
    area.title.closable = true;
    void documents.add(area);
    app.shell.add(area, 'main');
    app.shell.activateById(area.id);
    return area;
  };
  app.commands.addCommand(COMMANDS.open, {
    label: trans.__('Open run'),
    describedBy: { args: { type: 'object', properties: { run: { type: 'string' }, name: { type: 'string' } }, required: ['run'] } },
    execute: args => {
      const run = String(args['run'] ?? '');
      if (run) {
        put([run], () => new RunDocument({ run, server }), typeof args['name'] === 'string' ? args['name'] : run);
      }
    }
  });
  if (restorer) {
    void restorer.restore(documents, {
      command: COMMANDS.open,
      args: area => ({ run: area.runs?.[0] ?? '', name: area.title.label }),
      name: area => area.id,
      when: app.started
    });
  }
}
