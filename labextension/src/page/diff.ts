// A unified diff as blocks of lines of one kind.  Pure.

export type Kind = 'hunk' | 'same' | 'removed' | 'added' | 'note';

export interface Block {
  kind: Kind;
  /** number of its first line in the old and in the new file; null where it is in none of them */
  old: number | null;
  new: number | null;
  lines: string[];
}

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;
const KINDS: Record<string, Kind> = { ' ': 'same', '-': 'removed', '+': 'added', '\\': 'note' };

/** The blocks of a diff of one file, without the two lines that name it. */
export function blocksOf(diff: string): Block[] {
  const blocks: Block[] = [];
  let [old, now, inside] = [0, 0, false];
  for (const line of diff.replace(/\n$/, '').split('\n')) {
    const hunk = HUNK.exec(line);
    if (hunk) {
      [old, now, inside] = [Number(hunk[1]), Number(hunk[2]), true];
      blocks.push({ kind: 'hunk', old: null, new: null, lines: [line] });
      continue;
    }
    // before the first hunk are the files' names
    const kind = inside ? KINDS[line.charAt(0)] : undefined;
    if (!kind) {
      continue;
    }
    const [inOld, inNew] = [kind === 'same' || kind === 'removed', kind === 'same' || kind === 'added'];
    const last = blocks.at(-1);
    if (last?.kind === kind) {
      last.lines.push(line.slice(1));
    } else {
      blocks.push({ kind, old: inOld ? old : null, new: inNew ? now : null, lines: [line.slice(1)] });
    }
    old += inOld ? 1 : 0;
    now += inNew ? 1 : 0;
  }
  return blocks;
}

/** Lines that were added, and lines that were removed. */
export function counts(blocks: readonly Block[]): [number, number] {
  const of = (kind: Kind): number => blocks.reduce((sum, one) => sum + (one.kind === kind ? one.lines.length : 0), 0);
  return [of('added'), of('removed')];
}

/** The numbers of a block's lines on one side, one below the other. */
export function numbers(first: number | null, count: number): string {
  return first === null ? '' : Array.from({ length: count }, (_, i) => first + i).join('\n');
}
