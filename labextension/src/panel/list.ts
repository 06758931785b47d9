// The tree of runs: only the lines that are seen are in the page; pointer and keyboard, one and many.

import type { RunRow } from '../api.js';
import { h, on, put } from '../view/dom.js';
import { Frames } from '../view/frames.js';
import { t } from '../view/words.js';
import { Cursor, keyOf } from './cursor.js';
import { Hold } from './hold.js';
import type { RunLists } from './lists.js';
import { Picked } from './picked.js';
import { GroupLine, RunLine } from './row.js';
import { headKey, HEAD, LINE, type Line } from './tree.js';

/** Lines above and below those that are seen. */
const MORE = 6;
/** Milliseconds of rest before what is looked at is asked for. */
const REST = 60;

/** What the list asks of those around it. */
export interface ListHost {
  open(run: RunRow): void;
  menu(event: MouseEvent | null, at: DOMRect): void;
  rename(): void;
  remove(): void;
  fetch: Parameters<RunLists['between']>[2];
  /** another choice of runs */
  picked(): void;
  /** the keyboard was in the list, and there is none any more */
  left(): void;
}

type Drawn = RunLine | GroupLine;

export class RunList {
  readonly element = h('div', { class: 'mlr-list', role: 'tree', 'aria-multiselectable': 'true' });
  readonly picked = new Picked();
  private readonly sizer = h('div', { class: 'mlr-sizer', role: 'presentation' });
  private readonly lines = new Map<string, Drawn>();
  private readonly frames = new Frames(() => this.draw());
  private readonly sized: ResizeObserver;
  private readonly cursor = new Cursor();
  private readonly hold: Hold;
  /** what a line that is drawn was drawn for: the lists may have changed since */
  private readonly keys = new WeakMap<Element, string>();
  private asking: ReturnType<typeof setTimeout> | undefined;
  private ticking: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly lists: RunLists,
    private readonly host: ListHost,
    signal: AbortSignal
  ) {
    put(this.element, 'aria-label', t('Runs'));
    this.element.append(this.sizer);
    on(this.element, 'scroll', () => this.frames.request(), signal, { passive: true });
    on(this.element, 'click', event => this.click(event), signal);
    on(this.element, 'dblclick', event => this.enter(this.lineAt(event)), signal);
    on(this.element, 'keydown', event => this.key(event), signal);
    on(this.element, 'contextmenu', event => this.context(event), signal);
    on(this.element, 'focusin', event => this.focused(event), signal);
    this.hold = new Hold(this.element, signal);
    this.sized = new ResizeObserver(() => this.frames.request());
    this.sized.observe(this.element);
    signal.addEventListener('abort', () => {
      this.sized.disconnect();
      this.frames.end();
      this.still();
      clearTimeout(this.asking);
    });
  }

  /** Something changed. */
  request(): void {
    this.frames.request();
  }

  /** Nobody looks. */
  still(): void {
    clearInterval(this.ticking);
    this.ticking = undefined;
  }

  /** The runs that a command is meant for: those picked, or the one that the keyboard is at. */
  chosen(): RunRow[] {
    const known = this.lists.tree.known();
    const ids = this.picked.size ? [...this.picked] : [this.cursor.at];
    return ids.flatMap(id => known.get(id) ?? []);
  }

  /** Take the keyboard to the line where it was. */
  focus(): void {
    this.draw();
    this.here()?.focus();
  }

  /** The element of the line that the keyboard is at. */
  private here(): HTMLElement | undefined {
    const line = this.lists.tree.at(this.cursor.line);
    return line ? this.lines.get(keyOf(line))?.element : undefined;
  }

  private draw(): void {
    const { tree } = this.lists;
    if (!this.element.isConnected) {
      return;
    }
    if (this.element.hidden) {
      if (this.hold.ours) {
        this.host.left();
      }
      return;
    }
    this.cursor.settle(tree);
    this.sizer.style.height = `${tree.height}px`;
    const top = this.element.scrollTop;
    const from = Math.max(0, tree.find(top) - MORE);
    const to = Math.min(tree.length - 1, tree.find(top + this.element.clientHeight) + MORE);
    const wanted: Line[] = [];
    const add = (line: number): void => {
      const one = tree.at(line);
      if (one) {
        wanted.push(one);
      }
    };
    // the line that the keyboard is at stays in the page wherever one looks, or the focus were lost
    if (this.cursor.line < from) {
      add(this.cursor.line);
    }
    for (let line = from; line <= to; line++) {
      add(line);
    }
    if (this.cursor.line > to) {
      add(this.cursor.line);
    }
    this.put(wanted);
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.lists.see(from, to), REST);
    const moves = wanted.some(line => line.kind === 'run' && line.run && !line.run.over && line.run.started !== null);
    if (moves && this.ticking === undefined) {
      this.ticking = setInterval(() => this.tick(), 1000);
    } else if (!moves) {
      this.still();
    }
  }

  private put(wanted: Line[]): void {
    const { ours } = this.hold;
    const keys = new Set(wanted.map(keyOf));
    for (const [key, drawn] of this.lines) {
      if (!keys.has(key)) {
        drawn.element.remove();
        this.lines.delete(key);
      }
    }
    const now = Date.now() / 1000;
    const { tree } = this.lists;
    wanted.forEach((line, i) => {
      const key = keyOf(line);
      let drawn = this.lines.get(key);
      if (!drawn) {
        drawn = line.kind === 'group' ? new GroupLine() : new RunLine();
        this.lines.set(key, drawn);
      }
      const { element } = drawn;
      this.keys.set(element, key);
      put(element, 'data-line', line.line);
      element.style.transform = `translateY(${tree.top(line.line)}px)`;
      const grouped = line.group.name !== null;
      const place = {
        level: line.kind === 'run' && grouped ? 2 : 1,
        position: line.kind === 'run' ? line.index + 1 : tree.groups.indexOf(line.group) + 1,
        size: line.kind === 'run' ? line.group.runs : tree.groups.length,
        selected: this.picked.has(key),
        current: line.line === this.cursor.line
      };
      if (drawn instanceof GroupLine) {
        drawn.draw(line.group, place);
      } else {
        drawn.draw(line.kind === 'run' ? line.run : null, place, now);
      }
      if (this.sizer.children[i] !== element) {
        this.sizer.insertBefore(element, this.sizer.children[i] ?? null);
      }
    });
    // its line may have been removed, moved, or drawn for another run; a question before the page may be answered
    if (ours && (this.hold.lost || !this.sizer.contains(document.activeElement))) {
      this.here()?.focus({ preventScroll: true });
    }
  }

  private tick(): void {
    const now = Date.now() / 1000;
    for (const drawn of this.lines.values()) {
      if (drawn instanceof RunLine) {
        drawn.tick(now);
      }
    }
  }

  // ---- pointer

  private lineAt(event: Event): Line | null {
    const element = event.target instanceof Element ? event.target.closest('[data-line]') : null;
    if (!element) {
      return null;
    }
    const { tree } = this.lists;
    const key = this.keys.get(element) ?? '';
    const line = tree.at(tree.lineOf(key)) ?? tree.at(Number(element.getAttribute('data-line')));
    // of a run that is gone since it was drawn nothing is meant, least of all the one in its place
    return line && (keyOf(line) === key || key.startsWith('place ')) ? line : null;
  }

  private click(event: MouseEvent): void {
    const line = this.lineAt(event);
    if (!line) {
      this.pick(() => this.picked.clear());
      return;
    }
    this.cursor.go(this.lists.tree, line);
    if (line.kind === 'group') {
      this.fold(line, !line.group.open);
    } else if (event.shiftKey) {
      void this.range(line.line);
    } else if (line.run) {
      const { id } = line.run;
      this.pick(() => (event.ctrlKey || event.metaKey ? this.picked.toggle(id) : this.picked.only(id)));
    }
    this.focus();
  }

  private context(event: MouseEvent): void {
    // the browser's own menu stays within reach, as everywhere in JupyterLab
    if (event.shiftKey && event.button === 2) {
      return;
    }
    const line = this.lineAt(event) ?? this.cursor.settle(this.lists.tree);
    event.preventDefault();
    event.stopPropagation();
    if (!line || line.kind !== 'run' || !line.run) {
      return;
    }
    const { id } = line.run;
    this.cursor.go(this.lists.tree, line);
    if (!this.picked.has(id)) {
      this.pick(() => this.picked.only(id));
    }
    this.focus();
    const box = this.lines.get(id)?.element.getBoundingClientRect() ?? this.element.getBoundingClientRect();
    this.host.menu(event.button === 2 ? event : null, box);
  }

  private focused(event: FocusEvent): void {
    const line = this.lineAt(event);
    if (line && line.line !== this.cursor.line) {
      this.cursor.go(this.lists.tree, line);
      this.frames.request();
    }
  }

  // ---- keyboard

  private key(event: KeyboardEvent): void {
    const { tree } = this.lists;
    const line = this.cursor.settle(tree);
    if (!line || event.altKey) {
      return;
    }
    const page = Math.max(1, Math.floor(this.element.clientHeight / LINE) - 1);
    const moves: Record<string, number> = {
      ArrowDown: line.line + 1,
      ArrowUp: line.line - 1,
      PageDown: line.line + page,
      PageUp: line.line - page,
      Home: 0,
      End: tree.length - 1
    };
    const target = moves[event.key];
    if (target !== undefined) {
      this.go(target, event.shiftKey);
    } else if (!this.act(event, line)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Whether the key was meant for us. */
  private act(event: KeyboardEvent, line: Line): boolean {
    const control = event.ctrlKey || event.metaKey;
    switch (event.key) {
      case 'ArrowRight':
        line.kind === 'group' && !line.group.open ? this.fold(line, true) : this.go(line.line + (line.kind === 'group' ? 1 : 0));
        return true;
      case 'ArrowLeft':
        this.outwards(line);
        return true;
      case 'Enter':
        this.enter(line, true);
        return true;
      case ' ':
        if (line.kind === 'group') {
          this.fold(line, !line.group.open);
        } else if (line.run) {
          const { id } = line.run;
          this.pick(() => this.picked.toggle(id));
        }
        return true;
      case 'a':
        if (control) {
          void this.all();
        }
        return control;
      case 'Escape':
        this.pick(() => this.picked.clear());
        return true;
      case 'Delete':
      case 'Backspace':
        this.host.remove();
        return true;
      case 'F2':
        this.host.rename();
        return true;
      case '*':
        this.lists.tree.groups.forEach(group => group.name !== null && this.lists.tree.open(group.name, true));
        this.frames.request();
        return true;
      default:
        return false;
    }
  }

  private outwards(line: Line): void {
    if (line.kind === 'group') {
      this.fold(line, false);
    } else if (line.group.name !== null) {
      this.go(this.lists.tree.lineOf(headKey(line.group.name)));
    }
  }

  private go(target: number, extend = false): void {
    const { tree } = this.lists;
    const line = Math.max(0, Math.min(target, tree.length - 1));
    const one = tree.at(line);
    if (!one) {
      return;
    }
    if (extend && this.picked.anchor === null) {
      this.picked.anchor = this.cursor.at;
    }
    this.cursor.go(tree, one);
    const [top, size] = [tree.top(line), one.kind === 'group' ? HEAD : LINE];
    if (top < this.element.scrollTop) {
      this.element.scrollTop = top;
    } else if (top + size > this.element.scrollTop + this.element.clientHeight) {
      this.element.scrollTop = top + size - this.element.clientHeight;
    }
    if (extend) {
      void this.range(line);
    }
    this.focus();
  }

  private enter(line: Line | null, folds = false): void {
    if (line?.kind === 'run' && line.run) {
      this.host.open(line.run);
    } else if (line?.kind === 'group' && folds) {
      this.fold(line, !line.group.open);
    }
  }

  private fold(line: Line, open: boolean): void {
    if (line.group.name !== null) {
      this.lists.tree.open(line.group.name, open);
      this.frames.request();
    }
  }

  // ---- which are picked

  private pick(change: () => void): void {
    change();
    this.frames.request();
    this.host.picked();
  }

  private async range(to: number): Promise<void> {
    const { tree } = this.lists;
    const start = this.picked.anchor === null ? to : tree.lineOf(this.picked.anchor);
    const ids = await this.lists.between(start < 0 ? to : start, to, this.host.fetch);
    this.pick(() => this.picked.range(ids));
  }

  private async all(): Promise<void> {
    const ids = await this.lists.between(0, this.lists.tree.length - 1, this.host.fetch);
    this.pick(() => this.picked.range(ids));
  }
}
