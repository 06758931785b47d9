// Paths as a tree of folders.  Pure.

export interface Folder<File> {
  name: string;
  /** from the root, without a slash at its end; '' is the root */
  path: string;
  folders: Folder<File>[];
  files: { name: string; path: string; file: File }[];
}

/** The tree of *files*: folders before files, each in the order in which names are read. */
export function treeOf<File extends { path: string }>(files: readonly File[]): Folder<File> {
  const root: Folder<File> = { name: '', path: '', folders: [], files: [] };
  const known = new Map<string, Folder<File>>([['', root]]);
  for (const file of files) {
    const cut = file.path.lastIndexOf('/');
    const folder = folderAt(known, cut < 0 ? '' : file.path.slice(0, cut));
    folder.files.push({ name: file.path.slice(cut + 1), path: file.path, file });
  }
  known.forEach(sort);
  return root;
}

function folderAt<File>(known: Map<string, Folder<File>>, path: string): Folder<File> {
  let folder = known.get('') as Folder<File>;
  let from = 0;
  while (from <= path.length && path !== '') {
    const cut = path.indexOf('/', from);
    const end = cut < 0 ? path.length : cut;
    const here = path.slice(0, end);
    let next = known.get(here);
    if (!next) {
      next = { name: path.slice(from, end), path: here, folders: [], files: [] };
      known.set(here, next);
      folder.folders.push(next);
    }
    folder = next;
    from = end + 1;
  }
  return folder;
}

const natural = new Intl.Collator('en', { numeric: true });

function sort<File>(folder: Folder<File>): void {
  folder.folders.sort((a, b) => natural.compare(a.name, b.name));
  folder.files.sort((a, b) => natural.compare(a.name, b.name));
}

/** The folders above a path, the outermost first. */
export function above(path: string): string[] {
  const steps = path.split('/').slice(0, -1);
  return steps.map((_, i) => steps.slice(0, i + 1).join('/'));
}

/** Bytes of everything in a folder. */
export function weight(folder: Folder<{ size: number }>): number {
  const own = folder.files.reduce((sum, { file }) => sum + file.size, 0);
  return folder.folders.reduce((sum, inner) => sum + weight(inner), own);
}
