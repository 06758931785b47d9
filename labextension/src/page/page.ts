// The pages without JupyterLab: one run, the list of runs, and runs beside one another.

import { HttpServer } from '../source/http.js';
import { h } from '../view/dom.js';
import { t } from '../view/words.js';
import { CompareView } from './compare.js';
import { ListView } from './list.js';
import { comparedOf, hashOf, placeOf } from './places.js';
import { RunView } from './runview.js';

interface Config {
  baseUrl: string;
  what: 'run' | 'runs';
  run?: string;
  workspace?: string;
}

const config = JSON.parse(document.getElementById('jupyter-mlrun-config')?.textContent ?? '{}') as Config;
const place = document.getElementById('jupyter-mlrun-page') ?? document.body;
const server = new HttpServer({
  baseUrl: config.baseUrl,
  ...(config.workspace ? { workspace: config.workspace } : {})
});
const runAddress = (run: string): string => server.address(`runs/${encodeURIComponent(run)}`);
const compareAddress = (runs: readonly string[]): string => `${server.address('')}#compare=${runs.map(encodeURIComponent).join(',')}`;

/** What every page has above it: where one is, and the way back to the list. */
function frame(view: HTMLElement): void {
  const home = h('a', { href: server.address(''), class: 'home' }, t('All runs'));
  const where = config.workspace ? h('span', {}, config.workspace) : '';
  place.replaceChildren(h('nav', { class: 'mlr-top mlr-live', 'aria-label': t('Runs') }, home, where), view);
  document.documentElement.classList.add('mlr-standalone');
}

function runPage(run: string): void {
  const view = new RunView(server, run, {
    address: runAddress,
    compare: runs => location.assign(compareAddress(runs)),
    moved: at => history.pushState(null, '', hashOf(at)),
    titled: (name, status) => (document.title = `${name} · ${status}`),
    gone: () => location.assign(server.address(''))
  }, placeOf(location.hash));
  frame(view.element);
  view.visible(true);
  addEventListener('popstate', () => view.go(placeOf(location.hash)));
}

let listed: { dispose(): void } | null = null;

function listPage(): void {
  listed?.dispose();
  const runs = comparedOf(location.hash);
  if (runs.length) {
    const view = new CompareView(server, runs, {
      link: run => h('a', { class: 'run-link', href: runAddress(run.id) }, run.name),
      chose: left => location.assign(left.length ? compareAddress(left) : server.address(''))
    });
    document.title = t('Comparison');
    frame(view.element);
    view.visible(true);
    listed = view;
  } else {
    const view = new ListView(server, { address: runAddress, compare: chosen => location.assign(compareAddress(chosen)) });
    document.title = t('Runs');
    frame(view.element);
    listed = view;
  }
}

if (config.what === 'run' && config.run) {
  runPage(config.run);
} else {
  listPage();
  addEventListener('hashchange', listPage);
}
