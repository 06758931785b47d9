import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Columns } from '../src/api.js';
import { blocksOf, counts, numbers } from '../src/page/diff.js';
import { called, joined, lineOf, ordered, scaled } from '../src/page/figures.js';
import { above, treeOf, weight } from '../src/page/paths.js';
import { comparedOf, fileOf, hashOf, placeOf } from '../src/page/places.js';

test('a place goes through an address and comes back', () => {
  for (const rest of ['', 'train.py:12', 'a b/ü#?%.txt', 'diff:exp_1_0a', '<img src=x>', '/', 'a/../b', '%2F']) {
    assert.deepEqual(placeOf(hashOf({ tab: 'code', rest })), { tab: 'code', rest });
  }
  assert.equal(hashOf({ tab: 'code', rest: 'src/train.py:12' }), '#code/src/train.py:12');
});

test('nonsense in an address is the overview', () => {
  for (const hash of ['', '#', '#nothing', '#constructor', '#__proto__/x', '#Charts']) {
    assert.deepEqual(placeOf(hash), { tab: 'overview', rest: '' });
  }
  assert.deepEqual(placeOf('#files/%zz'), { tab: 'files', rest: '%zz' }, 'what is no escape stays');
});

test('a file and its line', () => {
  assert.deepEqual(fileOf('a/b.py:12'), { path: 'a/b.py', line: 12 });
  assert.deepEqual(fileOf('a:b'), { path: 'a:b', line: null });
  assert.deepEqual(fileOf(''), { path: '', line: null });
});

test('which runs are compared', () => {
  assert.deepEqual(comparedOf('#compare=a,b,,a'), ['a', 'b']);
  assert.deepEqual(comparedOf('#comparex=a'), []);
  assert.deepEqual(comparedOf('#compare='), []);
});

test('paths become a tree: folders first, numbers in their order', () => {
  const files = ['b.txt', 'a10.txt', 'a9.txt', 'x/y/z.py', 'x/a.py', '__proto__/constructor', 'x.py'];
  const tree = treeOf(files.map(path => ({ path, size: 2 })));
  assert.deepEqual(tree.folders.map(({ path }) => path), ['__proto__', 'x']);
  assert.deepEqual(tree.files.map(({ name }) => name), ['a9.txt', 'a10.txt', 'b.txt', 'x.py']);
  assert.deepEqual(tree.folders[1]?.folders[0]?.files.map(({ path }) => path), ['x/y/z.py']);
  assert.equal(weight(tree), 14);
  assert.deepEqual(above('x/y/z.py'), ['x', 'x/y']);
  assert.deepEqual(above('z.py'), []);
  assert.deepEqual(treeOf([]), { name: '', path: '', folders: [], files: [] });
});

const DIFF = `--- a/x.py
+++ b/x.py
@@ -1,4 +1,5 @@
 one
--- two
+++ zwei
+new
 three
@@ -9 +10 @@ def f():
-old
\\ No newline at end of file
+now
`;

test('a diff becomes blocks with the numbers of both sides', () => {
  const blocks = blocksOf(DIFF);
  assert.deepEqual(blocks.map(({ kind, old, new: now, lines }) => [kind, old, now, lines.length]), [
    ['hunk', null, null, 1], ['same', 1, 1, 1], ['removed', 2, null, 1], ['added', null, 2, 2], ['same', 3, 4, 1],
    ['hunk', null, null, 1], ['removed', 9, null, 1], ['note', null, null, 1], ['added', null, 10, 1]
  ]);
  assert.equal(blocks[2]?.lines[0], '-- two', 'a line that looks like a name is a line');
  assert.deepEqual(counts(blocks), [3, 2]);
  assert.equal(numbers(9, 3), '9\n10\n11');
  assert.equal(numbers(null, 3), '');
});

test('a diff of nothing', () => {
  assert.deepEqual(blocksOf(''), []);
  assert.deepEqual(blocksOf('--- a/x\n+++ b/x\n'), []);
});

test('figures of the machine in units that are legible', () => {
  assert.deepEqual(scaled([0, 1_500_000], 'bytes'), [[0, 1.5], 'MB']);
  assert.deepEqual(scaled([2000], 'bytes/s'), [[2], 'kB/s']);
  assert.deepEqual(scaled([0], 'bytes'), [[0], 'B']);
  assert.deepEqual(scaled([3, 250], '%'), [[3, 250], '%']);
  assert.equal(called({ name: 'gpu3_memory' }), 'GPU 3: memory');
  assert.equal(called({ name: 'constructor' }), 'constructor');
  const names = ['processes', 'gpu10', 'gpu2', 'other', 'cpu', 'gpu2_memory'].map(name => ({ name }));
  assert.deepEqual(ordered(names).map(({ name }) => name), ['cpu', 'gpu2', 'gpu2_memory', 'gpu10', 'processes', 'other']);
});

const points = (x: number[], last: Columns['last']): Columns => ({
  name: 'm', axis: 'step', exact: true, count: x.length, x, min: last, max: last, last
});

test('a metric as a line: gaps, a logarithm, time from its start', () => {
  const plain = { axis: 'step', logarithmic: false, smoothing: 0 } as const;
  assert.deepEqual(lineOf(points([1, 2, 3], [5, 'NaN', '-Infinity']), plain, 0).y, [5, null, null]);
  assert.deepEqual(lineOf(points([1, 2, 3], [100, 0, -1]), { ...plain, logarithmic: true }, 0).y, [2, null, null]);
  assert.deepEqual(lineOf(points([100, 110], [1, 2]), { ...plain, axis: 'time' }, 100).x, [0, 10]);
  assert.deepEqual(lineOf(points([100], [1]), plain, 100).x, [100], 'steps have no start');
  assert.deepEqual(lineOf(points([1, 2], [4, 4]), { ...plain, smoothing: 0.9 }, 0).y.map(y => Math.round(y ?? 0)), [4, 4]);
});

test('lines on one axis: what one has and another not is no gap', () => {
  const [x, a, b] = joined([{ x: [1, 3], y: [10, null] }, { x: [2, 3], y: [20, 30] }]);
  assert.deepEqual(x, [1, 2, 3]);
  assert.deepEqual(a, [10, undefined, null]);
  assert.deepEqual(b, [undefined, 20, 30]);
  assert.deepEqual(joined([]), [[]]);
});
