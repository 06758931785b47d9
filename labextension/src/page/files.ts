// The files of a run, or of its snapshot: a tree, and a look at the chosen one.

import type { FileInfo, FileList } from '../api.js';
import { h, put, say, show } from '../view/dom.js';
import { bytes, plural, t, whole } from '../view/words.js';
import { fileOf } from './places.js';
import { treeOf, weight } from './paths.js';
import { Preview } from './preview.js';
import { problemOf, runPath, type Server } from './server.js';
import { Latest, State } from './state.js';
import { TreeView } from './treeview.js';

export interface Words {
  label: string;
  none: string;
}

export class Files {
  readonly element = h('div', { class: 'files' });
  readonly preview: Preview;
  /** above the tree */
  readonly summary = h('p', { class: 'note' });
  private readonly state = new State();
  private readonly split = h('div', { class: 'split' });
  private readonly side = h('div', { class: 'side' });
  private readonly tree: TreeView<FileInfo>;
  private readonly latest = new Latest();
  private files = new Map<string, FileInfo>();
  private key = '';
  private wanted = '';

  /** *list* and *one*: the paths of the list and of a file's bytes; *chose*: a file was chosen. */
  constructor(
    private readonly server: Server,
    private readonly run: string,
    private readonly list: 'files' | 'code',
    private readonly words: Words,
    private readonly chose: (path: string) => void,
    signal: AbortSignal
  ) {
    const one = list === 'files' ? 'file' : 'code/file';
    this.preview = new Preview(server, runPath(run, one), signal);
    this.tree = new TreeView(words.label, file => this.choose(file), file => bytes(file.size), signal);
    this.side.append(this.summary, this.tree.element);
    this.split.append(this.side, this.preview.element);
    this.element.append(this.state.element, this.split);
    show(this.split, false);
  }

  /** Ask for the list again, and show what *rest* names. */
  async load(rest = this.wanted): Promise<void> {
    const current = this.latest.begin();
    this.wanted = rest;
    if (!this.key) {
      this.state.loading();
    }
    try {
      const found = await this.server.ask<FileList>('GET', runPath(this.run, this.list));
      if (current()) {
        this.take(found);
      }
    } catch (error) {
      if (!current()) {
        return;
      }
      show(this.split, false);
      this.key = '';
      // a run without a snapshot has no code, and that is right
      if (this.list === 'code' && problemOf(error).status === 404) {
        this.state.empty(problemOf(error).message);
      } else {
        this.state.failed(error, () => void this.load());
      }
    }
  }

  private take(found: FileList): void {
    const key = JSON.stringify(found);
    if (key !== this.key) {
      this.key = key;
      this.files = new Map(found.files.map(file => [file.path, file]));
      const tree = treeOf(found.files);
      this.tree.draw(tree, found.files.length);
      const more = found.total - found.files.length;
      const words = `${plural(found.total, 'One file', '{n} files')}, ${bytes(weight(tree))}`;
      say(this.summary, more > 0 ? t('{words}; {n} are not listed', { words, n: whole(more) }) : words);
    }
    show(this.split, found.files.length > 0);
    if (found.files.length) {
      this.state.done();
      this.open(this.wanted);
    } else {
      this.state.empty(this.words.none);
    }
  }

  /** Show what *rest* names: a path, and perhaps a line. */
  open(rest: string): void {
    this.wanted = rest;
    const { path, line } = this.files.has(rest) ? { path: rest, line: null } : fileOf(rest);
    const file = this.files.get(path);
    if (file) {
      this.tree.mark(path);
      void this.preview.show(file, line);
    } else if (rest && this.key) {
      this.preview.clear(t('There is no file {path}.', { path }));
    }
    put(this.element, 'data-open', Boolean(file));
  }

  private choose(file: FileInfo): void {
    this.wanted = file.path;
    void this.preview.show(file);
    this.chose(file.path);
  }
}
