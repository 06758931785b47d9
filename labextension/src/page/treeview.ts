// A tree of files: folders open and close, arrow keys move, one file is chosen.

import { h, on, put, show } from '../view/dom.js';
import { t } from '../view/words.js';
import { above, type Folder } from './paths.js';

interface Item {
  element: HTMLElement;
  row: HTMLElement;
  depth: number;
  /** of a folder */
  group: HTMLElement | null;
  path: string;
  name: string;
}

/** With no more files than these, every folder is open at the start. */
const FEW = 60;

export class TreeView<File extends { path: string }> {
  readonly element = h('div', { class: 'tree', role: 'tree' });
  private readonly items = new Map<HTMLElement, Item>();
  private readonly open = new Set<string>();
  private current: HTMLElement | null = null;
  private root: Folder<File> | null = null;
  chosen: string | null = null;

  constructor(
    label: string,
    private readonly choose: (file: File) => void,
    private readonly about: (file: File) => string,
    signal: AbortSignal
  ) {
    put(this.element, 'aria-label', label);
    on(this.element, 'click', event => this.click(event), signal);
    on(this.element, 'keydown', event => this.key(event), signal);
  }

  /** Show another tree; what was open stays open. */
  draw(root: Folder<File>, count: number): void {
    if (this.root === null && count <= FEW) {
      this.openAll(root);
    } else if (this.root === null && root.folders.length === 1 && root.files.length === 0) {
      this.open.add((root.folders[0] as Folder<File>).path);
    }
    this.root = root;
    this.again();
  }

  /** Mark a file as the chosen one, and open the folders above it. */
  mark(path: string | null): void {
    this.chosen = path;
    if (path !== null) {
      above(path).forEach(folder => this.open.add(folder));
    }
    if (this.root) {
      this.again();
    }
  }

  private openAll(folder: Folder<File>): void {
    for (const inner of folder.folders) {
      this.open.add(inner.path);
      this.openAll(inner);
    }
  }

  private again(): void {
    const focused = this.current && this.element.contains(document.activeElement) ? this.items.get(this.current) : null;
    this.items.clear();
    this.current = null;
    this.element.replaceChildren(...(this.root ? this.contents(this.root, 1) : []));
    const first = this.element.querySelector<HTMLElement>('[role="treeitem"]');
    this.move(this.find(focused?.path ?? this.chosen) ?? first, Boolean(focused));
  }

  private find(path: string | null): HTMLElement | null {
    return path === null ? null : ([...this.items.values()].find(item => item.path === path)?.element ?? null);
  }

  private contents(folder: Folder<File>, depth: number): HTMLElement[] {
    return [
      ...folder.folders.map(inner => this.folder(inner, depth)),
      ...folder.files.map(({ name, path, file }) => {
        const item = this.item(name, path, depth, null);
        put(item, 'aria-selected', String(path === this.chosen));
        (item.firstElementChild as HTMLElement).append(h('span', { class: 'about' }, this.about(file)));
        return item;
      })
    ];
  }

  private folder(folder: Folder<File>, depth: number): HTMLElement {
    const group = h('div', { role: 'group' });
    const item = this.item(`${folder.name || t('(no name)')}/`, folder.path, depth, group);
    item.append(group);
    this.unfold(item, this.open.has(folder.path));
    return item;
  }

  private item(name: string, path: string, depth: number, group: HTMLElement | null): HTMLElement {
    // called by all that its row says, and not by what its folder holds
    const id = `jupyter-mlrun-leaf-${++leaves}`;
    const row = h('div', { id, class: group ? 'leaf folder' : 'leaf', title: path }, h('span', { class: 'file' }, name));
    row.style.paddingInlineStart = `${depth * 14 - 6}px`;
    const element = h('div', { role: 'treeitem', 'aria-level': depth, tabindex: -1, 'aria-labelledby': id }, row);
    this.items.set(element, { element, row, depth, group, path, name });
    return element;
  }

  private unfold(element: HTMLElement, open: boolean): void {
    const item = this.items.get(element);
    if (!item?.group || !this.root) {
      return;
    }
    put(element, 'aria-expanded', String(open));
    show(item.group, open);
    this.open[open ? 'add' : 'delete'](item.path);
    if (open && !item.group.childElementCount) {
      // a folder's rows are made when it is opened: trees have thousands
      const folder = within(this.root, item.path);
      item.group.append(...(folder ? this.contents(folder, item.depth + 1) : []));
    }
  }

  private take(element: HTMLElement): void {
    const item = this.items.get(element);
    if (item?.group) {
      this.unfold(element, element.getAttribute('aria-expanded') !== 'true');
      return;
    }
    const file = item && this.root && fileAt(this.root, item.path);
    if (file) {
      this.chosen = item.path;
      this.items.forEach(other => !other.group && put(other.element, 'aria-selected', String(other === item)));
      this.choose(file);
    }
  }

  private click(event: MouseEvent): void {
    const row = (event.target as Element).closest<HTMLElement>('.leaf');
    const element = row?.parentElement;
    if (element && this.items.has(element)) {
      this.move(element, true);
      this.take(element);
    }
  }

  private move(element: HTMLElement | null, focus: boolean): void {
    if (!element) {
      return;
    }
    if (this.current) {
      put(this.current, 'tabindex', -1);
    }
    this.current = element;
    put(element, 'tabindex', 0);
    if (focus) {
      element.focus();
    }
  }

  private key(event: KeyboardEvent): void {
    const element = this.current;
    if (!element || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const seen = Array.from(this.element.querySelectorAll<HTMLElement>('[role="treeitem"]')).filter(one => one.offsetParent);
    const at = seen.indexOf(element);
    const expanded = element.getAttribute('aria-expanded');
    const go = (to: HTMLElement | null | undefined): void => this.move(to ?? null, true);
    const keys: Record<string, () => void> = {
      ArrowDown: () => go(seen[at + 1]),
      ArrowUp: () => go(seen[at - 1]),
      Home: () => go(seen[0]),
      End: () => go(seen.at(-1)),
      ArrowRight: () => (expanded === 'false' ? this.unfold(element, true) : expanded && go(seen[at + 1])),
      ArrowLeft: () =>
        expanded === 'true'
          ? this.unfold(element, false)
          : go(element.parentElement?.closest<HTMLElement>('[role="treeitem"]')),
      Enter: () => this.take(element),
      ' ': () => this.take(element)
    };
    const letter = event.key.length === 1 && event.key !== ' ' ? event.key.toLowerCase() : '';
    if (Object.hasOwn(keys, event.key)) {
      keys[event.key]?.();
    } else if (letter) {
      const after = [...seen.slice(at + 1), ...seen.slice(0, at + 1)];
      go(after.find(one => this.items.get(one)?.name.toLowerCase().startsWith(letter)) ?? element);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

let leaves = 0;

function within<File>(root: Folder<File>, path: string): Folder<File> | null {
  return root.path === path ? root : root.folders.reduce<Folder<File> | null>((found, one) => {
    const here = one.path === path || path.startsWith(`${one.path}/`);
    return found ?? (here ? within(one, path) : null);
  }, null);
}

function fileAt<File>(root: Folder<File>, path: string): File | null {
  const cut = path.lastIndexOf('/');
  const folder = within(root, cut < 0 ? '' : path.slice(0, cut));
  return folder?.files.find(one => one.path === path)?.file ?? null;
}
