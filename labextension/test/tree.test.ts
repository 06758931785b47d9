import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunRow } from '../src/api.js';
import { chipCounts, queryOf, tagsOf, withWord } from '../src/panel/filter.js';
import { sparkPath } from '../src/panel/spark.js';
import { HEAD, headKey, LINE, Rows, Tree } from '../src/panel/tree.js';

const run = (id: string, experiment: string, more: Partial<RunRow> = {}): RunRow =>
  ({ id, name: id, experiment, status: 'Completed', tags: {}, metrics: {}, parameters: {}, ...more }) as RunRow;

function rows(...all: RunRow[]): Rows {
  const made = new Rows();
  made.take({ full: true, order: all.map(row => row.id), rows: all, gone: [] });
  return made;
}

const counts = (...all: [string, number, number?][]) => all.map(([name, runs, active = 0]) => ({ name, runs, active }));

function kinds(tree: Tree): string[] {
  return Array.from({ length: tree.length }, (_, i) => {
    const line = tree.at(i);
    return line?.kind === 'group' ? `# ${line.group.name}` : (line?.run?.id ?? '?');
  });
}

test('runs stand under their experiments, in the order in which they came', () => {
  const tree = new Tree();
  tree.set(counts(['a', 2], ['b', 1]), 3, rows(run('3', 'a'), run('2', 'b'), run('1', 'a')), true);
  assert.deepEqual(kinds(tree), ['# a', '3', '1', '# b', '2']);
  assert.equal(tree.height, 2 * HEAD + 3 * LINE);
});

test('a closed experiment shows its head alone, and stays closed when there is news', () => {
  const tree = new Tree();
  const all = rows(run('2', 'b'), run('1', 'a'));
  tree.set(counts(['a', 1], ['b', 1]), 2, all, true);
  tree.open('a', false);
  assert.deepEqual(kinds(tree), ['# a', '# b', '2']);
  tree.set(counts(['a', 1], ['b', 1]), 2, all, true);
  assert.deepEqual(kinds(tree), ['# a', '# b', '2']);
  tree.open('a', true);
  assert.equal(tree.length, 4);
});

test('with many experiments only those in which something moves are open at first', () => {
  const tree = new Tree();
  const many = Array.from({ length: 30 }, (_, i): [string, number, number] => [`e${i}`, 5, i === 3 ? 1 : 0]);
  tree.set(counts(...many), 150, rows(), true);
  assert.deepEqual(tree.groups.filter(group => group.open).map(group => group.name), ['e3']);
});

test('without groups there are no heads', () => {
  const tree = new Tree();
  tree.set(counts(['a', 1], ['b', 1]), 2, rows(run('2', 'b'), run('1', 'a')), false);
  assert.deepEqual(kinds(tree), ['2', '1']);
  assert.equal(tree.height, 2 * LINE);
});

test('each height finds the line that is drawn there', () => {
  const tree = new Tree();
  tree.set(counts(['a', 3], ['b', 0], ['c', 2]), 5, rows(), true);
  tree.open('c', false);
  for (let line = 0; line < tree.length; line++) {
    const top = tree.top(line);
    const size = tree.at(line)?.kind === 'group' ? HEAD : LINE;
    assert.deepEqual([tree.find(top), tree.find(top + size - 1)], [line, line], `line ${line}`);
  }
  assert.equal(tree.find(1e9), tree.length - 1);
  assert.equal(tree.find(-5), 0);
  assert.equal(new Tree().find(10), 0);
});

test('what the first window has is not asked for again; what it has not is, in steps', () => {
  const tree = new Tree();
  const first = rows(...Array.from({ length: 200 }, (_, i) => run(`r${i}`, 'a')));
  tree.set(counts(['a', 10_000], ['b', 3]), 10_003, first, true);
  assert.deepEqual(tree.missing(0, 40), []);
  assert.deepEqual(tree.missing(5001, 5030), [{ group: 'a', offset: 4950, limit: 150 }]);
  assert.deepEqual(tree.missing(5030, 5040), [{ group: 'a', offset: 5000, limit: 100 }]);
  const end = tree.missing(tree.length - 10, tree.length - 1);
  assert.deepEqual(end.map(part => part.group), ['a', 'b']);
});

test('a window fills its places, and is found by id', () => {
  const tree = new Tree();
  tree.set(counts(['a', 1000]), 1000, rows(), true);
  assert.equal(kinds(tree)[501], '?');
  tree.put('a', 500, rows(run('x', 'a'), run('y', 'a')));
  assert.deepEqual(kinds(tree).slice(500, 504), ['?', 'x', 'y', '?']);
  assert.equal(tree.lineOf('y'), 502);
  assert.equal(tree.lineOf(headKey('a')), 0);
  assert.equal(tree.lineOf('gone'), -1);
  tree.clear();
  assert.equal(tree.lineOf('y'), -1);
});

test('10,000 runs in 1,000 experiments: lines are found at once', () => {
  const tree = new Tree();
  tree.set(Array.from({ length: 1000 }, (_, i) => ({ name: `e${i}`, runs: 10, active: 1 })), 10_000, rows(), true);
  assert.equal(tree.length, 11_000);
  const line = tree.at(5507);
  assert.equal(line?.kind === 'run' && line.group.name, 'e500');
  assert.equal(line?.kind === 'run' && line.index, 6);
});

test('rows: what changed is taken over, what is gone is gone, the order stays where none is told', () => {
  const all = rows(run('1', 'a'), run('2', 'a'));
  all.take({ full: false, order: null, rows: [run('2', 'a', { status: 'Failed' })], gone: [] });
  assert.deepEqual([all.at(0)?.status, all.at(1)?.status], ['Completed', 'Failed']);
  all.take({ full: false, order: ['2'], rows: [], gone: ['1'] });
  assert.equal(all.at(0)?.id, '2');
  assert.equal(all.rows.size, 1);
});

test('the filter box: words, tags and a compute', () => {
  assert.deepEqual(queryOf('resnet  lr=0.1', []), { text: 'resnet lr=0.1' });
  assert.deepEqual(queryOf('a tag:kind=big tag:x compute:gpu b', ['failed', 'active']), {
    text: 'a b',
    tag: 'kind=big,x',
    compute: 'gpu',
    status: 'failed,active'
  });
  assert.deepEqual(queryOf('tag:"note=two words" "open', []), { text: 'open', tag: 'note=two words' });
  assert.deepEqual(queryOf('tag: compute:', []), {}, 'a name that is being typed is no word');
  assert.deepEqual(queryOf('   ', []), {});
});

test('the menu writes a word into the box, once', () => {
  assert.equal(withWord('', 'tag', 'a=b c'), 'tag:"a=b c"');
  assert.equal(withWord('tag:"a=b c" x', 'tag', 'a=b c'), 'x tag:"a=b c"');
  assert.equal(withWord('x compute:old', 'compute', 'new'), 'x compute:new');
  assert.deepEqual(queryOf(withWord('x', 'tag', 'n=a b'), []), { text: 'x', tag: 'n=a b' });
});

test('chips count every status that goes on as active', () => {
  assert.deepEqual(chipCounts({ Running: 2, Queued: 3, NotResponding: 1, Completed: 5, Failed: 4 }), {
    active: 6,
    completed: 5,
    failed: 4,
    canceled: 0
  });
});

test('tags are offered by how many runs have them; one that cannot be asked for is not', () => {
  const all = [run('1', 'a', { tags: { k: 'v' } }), run('2', 'a', { tags: { k: 'v', b: '' } }), run('3', 'a', { tags: { x: '1,2' } })];
  assert.deepEqual(tagsOf(all), ['k=v', 'b']);
});

test('a small curve: gaps part it, one value is a dot, equal values lie in the middle', () => {
  assert.equal(sparkPath([], 10, 10), '');
  assert.equal(sparkPath([null, Number.NaN], 10, 10), '');
  assert.equal(sparkPath([0, 1], 10, 10), 'M0 10L10 0');
  assert.equal(sparkPath([5], 10, 10), 'M5 5h.01');
  assert.equal(sparkPath([2, 2, 2], 10, 10), 'M0 5L5 5L10 5');
  assert.equal(sparkPath([0, null, 1], 10, 10), 'M0 10h.01M10 0h.01');
});
