// The keyboard in the list of runs: it is somewhere, whatever becomes of the list.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OneDone, RunRow } from '../src/api.js';
import { Cursor, keyOf } from '../src/panel/cursor.js';
import { Hold } from '../src/panel/hold.js';
import { failures } from '../src/panel/told.js';
import { headKey, Rows, Tree } from '../src/panel/tree.js';

const run = (id: string, experiment = 'a'): RunRow => ({ id, name: id, experiment }) as RunRow;

function rows(...ids: string[]): Rows {
  const made = new Rows();
  made.take({ full: true, order: ids, rows: ids.map(id => run(id)), gone: [] });
  return made;
}

/** One experiment with these runs, of which there may be more that are not known. */
function set(tree: Tree, ids: string[], total = ids.length): Tree {
  tree.set(total ? [{ name: 'a', runs: total, active: 0 }] : [], total, rows(...ids), true);
  return tree;
}

function at(tree: Tree, id: string): Cursor {
  const cursor = new Cursor();
  const line = tree.at(tree.lineOf(id));
  assert.ok(line);
  cursor.go(tree, line);
  return cursor;
}

/** What it is at, after the list changed. */
function settled(cursor: Cursor, tree: Tree): string | null {
  const line = cursor.settle(tree);
  return line && keyOf(line);
}

test('at first it is at the first line, and where there is none, nowhere', () => {
  const cursor = new Cursor();
  assert.equal(settled(cursor, set(new Tree(), [])), null);
  assert.equal(settled(cursor, set(new Tree(), ['1', '2'])), headKey('a'));
});

test('runs that come above it, or go there, do not move it to another run', () => {
  const tree = set(new Tree(), ['3', '2', '1']);
  const cursor = at(tree, '2');
  assert.equal(settled(cursor, set(tree, ['5', '4', '3', '2', '1'])), '2');
  assert.equal(cursor.line, 4);
  assert.equal(settled(cursor, set(tree, ['2', '1'])), '2');
  assert.equal(cursor.line, 1);
});

test('its run is deleted: the one below takes over, at the end the one above, at last the head', () => {
  const tree = set(new Tree(), ['3', '2', '1']);
  const cursor = at(tree, '2');
  assert.equal(settled(cursor, set(tree, ['3', '1'])), '1');
  assert.equal(settled(cursor, set(tree, ['3'])), '3');
  assert.equal(settled(cursor, set(tree, ['4'])), '4');
  tree.set([{ name: 'b', runs: 1, active: 0 }], 1, rows(), true);
  assert.equal(settled(cursor, tree), 'place b 0', 'and no other is known: its place');
  assert.equal(settled(cursor, set(tree, [], 0)), null);
});

test('its run and those below it are deleted while others come above', () => {
  const tree = set(new Tree(), ['5', '4', '3', '2', '1']);
  const cursor = at(tree, '4');
  assert.equal(settled(cursor, set(tree, ['9', '8', '7', '5', '1'])), '1');
});

test('another order of the list: it goes with its run', () => {
  const tree = set(new Tree(), ['3', '2', '1']);
  const cursor = at(tree, '3');
  assert.equal(settled(cursor, set(tree, ['1', '2', '3'])), '3');
});

test('its experiment is closed: it is at the head', () => {
  const tree = set(new Tree(), ['3', '2', '1']);
  const cursor = at(tree, '3');
  tree.open('a', false);
  assert.equal(settled(cursor, tree), headKey('a'));
});

test('its window is left: it stays at its place, and at its run when that is known again', () => {
  const tree = set(new Tree(), ['0', '1'], 1000);
  tree.put('a', 500, rows('x', 'y', 'z'));
  const cursor = at(tree, 'y');
  tree.put('a', 900, rows('p', 'q'));
  assert.equal(settled(cursor, tree), 'place a 501');
  assert.equal(cursor.at, 'y');
  tree.put('a', 499, rows('w', 'x', 'y'));
  assert.equal(settled(cursor, tree), 'y');
  assert.equal(cursor.line, 502);
});

test('a place that was not known becomes the run that is there', () => {
  const tree = set(new Tree(), ['0'], 1000);
  const cursor = new Cursor();
  const line = tree.at(600);
  assert.ok(line);
  cursor.go(tree, line);
  tree.put('a', 599, rows('x'));
  assert.equal(settled(cursor, tree), 'x');
});

// ---- who has the keyboard

/** As much of a page as says where the keyboard is. */
function page() {
  const heard: Record<string, (event: Event) => void> = {};
  const body = { name: 'body' };
  const place = (inside: boolean, passing = false) => ({ inside, closest: () => (passing ? {} : null) });
  const list = { contains: (one: { inside?: boolean } | null) => one?.inside === true };
  const document = { activeElement: body as unknown, body, addEventListener: (type: string, work: (event: Event) => void) => void (heard[type] = work) };
  const hold = new Hold(list as never, new AbortController().signal, document as never);
  const happens = (type: string, target: unknown, active: unknown = target): void => {
    document.activeElement = active;
    heard[type]?.({ target } as never);
  };
  return { hold, happens, document, body, line: place(true), button: place(false), dialog: place(false, true) };
}

test('a line that had the keyboard is removed: the list may take it back', () => {
  const { hold, happens, document, body, line } = page();
  assert.deepEqual([hold.lost, hold.ours], [false, false]);
  happens('focusin', line);
  assert.deepEqual([hold.lost, hold.ours], [false, true]);
  document.activeElement = body;
  assert.deepEqual([hold.lost, hold.ours], [true, true]);
  document.activeElement = null;
  assert.equal(hold.lost, true);
});

test('a dialog or a menu comes and goes: it is ours again, and not before', () => {
  const { hold, happens, document, body, line, dialog } = page();
  happens('focusin', line);
  happens('focusin', dialog);
  assert.deepEqual([hold.lost, hold.ours], [false, false]);
  happens('pointerdown', dialog);
  document.activeElement = body;
  assert.equal(hold.lost, true);
});

test('who takes the keyboard elsewhere has it there', () => {
  const { hold, happens, document, body, line, button } = page();
  happens('focusin', line);
  happens('focusin', button);
  document.activeElement = body;
  assert.equal(hold.lost, false);
  happens('focusin', line);
  happens('pointerdown', button, body);
  assert.equal(hold.lost, false);
});

// ---- what is said of several

const failed = (id: string, message: string, hint: string | null = null): OneDone => ({ id, error: { kind: 'Conflict', message, hint } });

test('those that failed are named, once for each reason', () => {
  const name = (id: string): string => `run ${id}`;
  assert.equal(failures([{ id: '1', error: null }], name), '');
  const done = [failed('r1', 'run r1 is Running', 'stop it first'), { id: 'r2', error: null }, failed('r3', 'run r3 is Running', 'stop it first'), failed('r4', 'no disk')];
  assert.equal(failures(done, name), 'run r1, run r3: run run r1 is Running (stop it first) · run r4: no disk');
  const many = Array.from({ length: 9 }, (_, i) => failed(`r${i}`, `why r${i}`));
  assert.equal(failures(many, name), 'run r0, run r1, run r2 … (9): why run r0');
});
