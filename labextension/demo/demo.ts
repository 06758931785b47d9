// A page with the shipped bundle in it, loaded as anywidget does, and a run that is made up.
// `?scene=NAME&theme=light|dark|none&width=PIXELS&views=N`; `window.demo` is for tests.

import type { FromView } from '../src/contract.js';
import { Feed, RUN } from './feed.js';
import { SCENES } from './scenes.js';

type Heard = (...args: unknown[]) => void;

/** What anywidget gives to a view. */
class Model {
  readonly feed: Feed;
  private readonly heard = new Map<string, Set<Heard>>();

  constructor(private readonly view: string) {
    this.feed = new Feed((message, buffers) => this.tell('msg:custom', JSON.parse(JSON.stringify(message)), buffers));
  }

  get(name: string): unknown {
    return name === 'view' ? this.view : undefined;
  }

  send(message: unknown): void {
    this.feed.hear(message as FromView);
  }

  on(event: string, callback: Heard): void {
    this.heard.set(event, (this.heard.get(event) ?? new Set()).add(callback));
  }

  off(event: string, callback: Heard): void {
    this.heard.get(event)?.delete(callback);
  }

  tell(event: string, ...args: unknown[]): void {
    this.heard.get(event)?.forEach(callback => callback(...args));
  }
}

const asked = new URLSearchParams(location.search);
const place = document.querySelector('main') as HTMLElement;
const theme = asked.get('theme') ?? 'none';
if (theme !== 'none') {
  document.body.dataset['jpThemeName'] = theme;
  document.body.dataset['jpThemeLight'] = String(theme === 'light');
}
place.style.maxWidth = asked.get('width') ? `${asked.get('width')}px` : '';

void main();

async function main(): Promise<void> {
  const code = await (await fetch('widget.js')).text();
  const address = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const widget = (await import(address)).default as { render(given: { model: Model; el: Element }): () => void };
  const models: Model[] = [];
  const ends: (() => void)[] = [];
  for (let i = 0; i < Number(asked.get('views') ?? 1); i++) {
    const model = new Model(`view-${i}`);
    model.feed.run = { ...RUN };
    SCENES[asked.get('scene') ?? 'running']?.(model.feed);
    model.feed.busy = asked.has('busy');
    const el = document.createElement('div');
    place.append(el);
    ends.push(widget.render({ model, el }));
    models.push(model);
  }
  Object.assign(window, { demo: { feed: models[0]?.feed, models, feeds: models.map(model => model.feed), end: () => ends.forEach(end => end()) } });
  document.body.dataset['ready'] = 'yes';
}
