// Where the keyboard is in the list, whatever becomes of the line that it was at.  Pure.

import { headKey, type Line, type Tree } from './tree.js';

/** Lines on either side, of which one takes over where the line itself goes. */
const NEAR = 12;

/** What a line is called: a run's id, an experiment's head, or a place of which nothing is known yet. */
export function keyOf(line: Line): string {
  return line.kind === 'group' ? headKey(line.group.name) : (line.run?.id ?? `place ${line.group.name ?? ''} ${line.index}`);
}

export class Cursor {
  /** its line, as of `settle` */
  line = 0;
  /** what it is at: it stays so while its place is not known, and is found again when it is */
  private key = '';
  /** runs that were beside it, the nearest first: those below, then those above */
  private near: string[] = [];
  private group: string | null = null;

  /** The run or head that it is at, known or not. */
  get at(): string {
    return this.key;
  }

  /** Be at this line from now on. */
  go(tree: Tree, line: Line): void {
    [this.key, this.line] = [keyOf(line), line.line];
    this.look(tree);
  }

  /** The line where it is now: lines may have come above it, or it may be gone.  Null: there are none. */
  settle(tree: Tree): Line | null {
    const found = this.key ? tree.lineOf(this.key) : -1;
    const place = found < 0 ? this.instead(tree) : tree.at(found);
    if (!place) {
      this.line = 0;
      return null;
    }
    this.line = place.line;
    const known = place.kind === 'group' || place.run !== null;
    if (known || !this.key) {
      this.key = keyOf(place);
      this.look(tree);
    }
    return place;
  }

  /** Where to go when it is not found. */
  private instead(tree: Tree): Line | null {
    const here = tree.at(Math.max(0, Math.min(this.line, tree.length - 1)));
    if (here?.kind === 'run' && here.run === null) {
      return here; // not gone: nothing is known there now
    }
    const near = this.near.find(key => tree.lineOf(key) >= 0);
    if (near !== undefined) {
      return tree.at(tree.lineOf(near));
    }
    // its experiment may be closed
    return here?.group.name === this.group ? here : (tree.at(tree.lineOf(headKey(this.group))) ?? here);
  }

  private look(tree: Tree): void {
    this.group = tree.at(this.line)?.group.name ?? null;
    const below: string[] = [];
    const above: string[] = [];
    for (let i = 1; i <= NEAR; i++) {
      for (const [side, line] of [[below, tree.at(this.line + i)], [above, tree.at(this.line - i)]] as const) {
        if (line?.kind === 'run' && line.run && line.group.name === this.group) {
          side.push(line.run.id);
        }
      }
    }
    this.near = [...below, ...above];
  }
}
