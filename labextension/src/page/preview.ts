// A look at one file: a picture, text, or JSON; anything else can be downloaded.  Nothing of it is ever markup.

import type { FileInfo } from '../api.js';
import { button, h, on, put } from '../view/dom.js';
import { bytes, moment, t } from '../view/words.js';
import { codeView, reveal } from './codeview.js';
import type { Query, Server } from './server.js';
import { Latest, State } from './state.js';

/** Bytes of a text that are fetched. */
const MOST_TEXT = 400_000;

export class Preview {
  readonly element = h('section', { class: 'preview', 'aria-label': t('File') });
  private readonly head = h('header', { class: 'file-head' });
  private readonly body = h('div', { class: 'file-body' });
  private readonly state = new State();
  private readonly latest = new Latest();
  private picture = '';

  /** *path*: below the run, where files are; *files*: what a file is called when it is downloaded stays its name. */
  constructor(
    private readonly server: Server,
    private readonly path: string,
    private readonly signal: AbortSignal
  ) {
    this.element.append(this.head, this.state.element, this.body);
    this.state.empty(t('Choose a file to look at it.'));
    signal.addEventListener('abort', () => this.forget());
  }

  /** Nothing is chosen. */
  clear(text: string): void {
    this.latest.begin();
    this.forget();
    this.head.replaceChildren();
    this.body.replaceChildren();
    this.state.empty(text);
  }

  /** Show *file*, and the line that is meant. */
  async show(file: FileInfo, line: number | null = null): Promise<void> {
    const current = this.latest.begin();
    this.forget();
    this.headline(file);
    this.body.replaceChildren();
    if (file.kind === 'link') {
      this.state.empty(t('This is a link to somewhere outside of the run: it is not followed.'));
      return;
    }
    if (file.kind === 'other') {
      this.state.empty(t('There is no preview of such a file: download it.'));
      return;
    }
    if (file.size === 0) {
      this.state.empty(t('The file is empty.'));
      return;
    }
    this.state.loading();
    try {
      const query = { path: file.path, preview: 1 };
      const part = await this.server.part(this.path, query, file.kind === 'image' ? undefined : MOST_TEXT);
      const shown = file.kind === 'image' ? await this.image(file, part.data) : await this.text(file, part, line);
      if (current()) {
        this.state.done();
        this.body.replaceChildren(...shown);
        const code = line !== null && this.body.querySelector<HTMLElement>('.code');
        if (code) {
          reveal(code, line as number);
        }
      }
    } catch (error) {
      if (current()) {
        this.state.failed(error, () => void this.show(file, line));
      }
    }
  }

  private headline(file: FileInfo): void {
    const query: Query = { path: file.path };
    const name = file.path.slice(file.path.lastIndexOf('/') + 1);
    const about = [bytes(file.size), moment(file.mtime)].filter(Boolean).join(' · ');
    const parts: Node[] = [h('span', { class: 'path', title: file.path }, file.path), h('span', { class: 'more' }, about)];
    if (file.kind !== 'link') {
      parts.push(h('a', { class: 'button', href: this.server.address(this.path, query), download: name }, t('Download')));
    }
    this.head.replaceChildren(...parts);
  }

  private async image(file: FileInfo, data: Blob): Promise<Node[]> {
    this.picture = URL.createObjectURL(data);
    const image = h('img', { src: this.picture, alt: file.path });
    const size = h('figcaption', { class: 'more' });
    await image.decode();
    size.textContent = t('{w} × {h} pixels', { w: image.naturalWidth, h: image.naturalHeight });
    return [h('figure', { class: 'picture' }, image, size)];
  }

  private async text(file: FileInfo, part: { data: Blob; total: number }, line: number | null): Promise<Node[]> {
    const text = await part.data.text();
    const cut = part.data.size < part.total;
    const notes = cut
      ? [h('p', { class: 'note' }, t('The first {part} of {whole} are shown.', { part: bytes(part.data.size), whole: bytes(part.total) }))]
      : [];
    const stored = codeView(text, file.path, line);
    const tidy = file.kind === 'json' && !cut ? tidied(text) : null;
    if (tidy === null || tidy === text) {
      return [...notes, stored];
    }
    const formatted = codeView(tidy, file.path);
    const toggle = button(t('As stored'), null, true);
    put(toggle, 'aria-pressed', 'false');
    stored.hidden = line === null;
    formatted.hidden = line !== null;
    on(toggle, 'click', () => {
      stored.hidden = !stored.hidden;
      formatted.hidden = !stored.hidden;
      put(toggle, 'aria-pressed', String(!stored.hidden));
    }, this.signal);
    return [h('div', { class: 'tools' }, toggle), formatted, stored];
  }

  private forget(): void {
    if (this.picture) {
      URL.revokeObjectURL(this.picture);
      this.picture = '';
    }
  }
}

/** JSON with a line for each value; null for what is none. */
export function tidied(text: string): string | null {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}
