import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunRow, RunsUpdate } from '../src/api.js';
import { remembered, toRemember } from '../src/notebook/memory.js';
import { Ended } from '../src/panel/ended.js';
import { chipCounts, queryOf, tagsOf, withWord } from '../src/panel/filter.js';
import { RunLists } from '../src/panel/lists.js';
import { Picked } from '../src/panel/picked.js';
import { leftOf } from '../src/panel/row.js';
import { sparkPath } from '../src/panel/spark.js';
import { tagsIn, tagsText } from '../src/panel/tagtext.js';
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

test('the experiment of the newest run stands first; those of which nothing is known keep their order', () => {
  const tree = new Tree();
  tree.set(counts(['a', 1], ['b', 1], ['y', 0], ['z', 1]), 3, rows(run('2', 'z'), run('1', 'b')), true);
  assert.deepEqual(tree.groups.map(group => group.name), ['z', 'b', 'a', 'y']);
});

test('a closed experiment shows its head alone, and stays closed when there is news', () => {
  const tree = new Tree();
  const all = rows(run('2', 'a'), run('1', 'b'));
  tree.set(counts(['a', 1], ['b', 1]), 2, all, true);
  tree.open('a', false);
  assert.deepEqual(kinds(tree), ['# a', '# b', '1']);
  tree.set(counts(['a', 1], ['b', 1]), 2, all, true);
  assert.deepEqual(kinds(tree), ['# a', '# b', '1']);
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

// ---- what is followed

interface Watch {
  query: Record<string, unknown>;
  listener: { heard(update: RunsUpdate): void; problem?(problem: { message: string }, final: boolean): void };
  closed: boolean;
}

function lists() {
  const watches: Watch[] = [];
  const server = {
    watch(query: object, listener: Watch['listener']) {
      const watch: Watch = { query: query as Record<string, unknown>, listener, closed: false };
      watches.push(watch);
      return { link: 'open' as const, move: (other: object) => void (watch.query = other as Record<string, unknown>), close: () => void (watch.closed = true) };
    }
  };
  const made = new RunLists(server as never, () => undefined);
  const open = () => watches.filter(watch => !watch.closed).map(watch => watch.query);
  return { made, watches, open };
}

const news = (total: number, experiments: [string, number][], ...all: RunRow[]): RunsUpdate => ({
  type: 'runs', sub: 1, seq: 1, full: true, order: all.map(row => row.id), rows: all, gone: [], total, counts: {}, experiments: counts(...experiments)
});

test('hidden, nothing is followed; shown again, the list begins anew', () => {
  const { made, watches, open } = lists();
  made.start();
  assert.deepEqual(open(), [{ offset: 0, limit: 200 }]);
  watches[0]?.listener.heard(news(1000, [['a', 1000]], run('1', 'a')));
  made.see(300, 320);
  assert.equal(open().length, 2);
  made.stop();
  assert.deepEqual(open(), []);
  made.start();
  assert.deepEqual(open(), [{ offset: 0, limit: 200 }]);
});

test('what is looked at is followed, what is left is not', () => {
  const { made, watches, open } = lists();
  made.start();
  watches[0]?.listener.heard(news(1000, [['a', 600], ['b', 400]], ...Array.from({ length: 100 }, (_, i) => run(`${i}`, 'a'))));
  made.see(10, 50);
  assert.equal(open().length, 1);
  made.see(590, 630);
  assert.deepEqual(open().slice(1), [
    { experiment: 'a', offset: 550, limit: 100 },
    { experiment: 'b', offset: 0, limit: 100 }
  ]);
  made.see(10, 50);
  assert.equal(open().length, 1);
});

test('another question: what is shown stays until its answer is there', () => {
  const { made, watches, open } = lists();
  made.start();
  watches[0]?.listener.heard(news(1, [['a', 1]], run('1', 'a')));
  made.ask({ text: 'x' }, true);
  assert.deepEqual(open(), [{ text: 'x', offset: 0, limit: 200 }]);
  assert.equal(made.tree.length, 2);
  assert.equal(made.loaded, false);
  watches[0]?.listener.heard(news(0, []));
  assert.equal(made.tree.length, 0);
  assert.ok(made.loaded && made.filtered);
});

test('a question that the server refuses ends the list, and says why', () => {
  const { made, watches, open } = lists();
  made.start();
  watches[0]?.listener.problem?.({ message: 'no such order' }, true);
  assert.equal(made.problem?.message, 'no such order');
  assert.deepEqual(open(), []);
  made.ask({ text: 'x' }, true);
  made.start();
  assert.equal(made.problem, null);
  assert.equal(open().length, 1);
});

test('a range over runs that are not known asks for them', async () => {
  const { made, watches } = lists();
  made.start();
  watches[0]?.listener.heard(news(5, [['a', 5]], run('0', 'a'), run('1', 'a')));
  const asked: unknown[] = [];
  const ids = await made.between(4, 1, async query => {
    asked.push(query);
    return [run('2', 'a'), run('3', 'a')];
  });
  assert.deepEqual(ids, ['0', '1', '2', '3']);
  assert.deepEqual(asked, [{ experiment: 'a', offset: 2, limit: 2 }]);
});

test('who leaves the list of active runs has ended, and is told once', () => {
  const ended = new Ended();
  const take = (total: number, ...all: RunRow[]) => ended.take({ rows: all, order: all.map(row => row.id), total });
  assert.deepEqual(take(2, run('1', 'a'), run('2', 'a')), []);
  assert.deepEqual(take(1, run('2', 'a')), ['1']);
  assert.deepEqual(take(1, run('2', 'a')), []);
  assert.deepEqual(take(9, run('3', 'a')), [], 'it may have been pushed out of the window');
  assert.deepEqual(take(0), ['2', '3']);
});

test('who was too quick to be seen active is told once, too', () => {
  const ended = new Ended();
  const over = (id: string, at: number) => run(id, 'a', { over: true, ended: at, created: at - 1 });
  const going = run('3', 'a', { over: false, ended: null });
  assert.deepEqual(ended.quick({ rows: [over('1', 100)] }), [], 'it was over before');
  assert.deepEqual(ended.quick({ rows: [over('2', 101), over('0', 99)] }), ['2'], 'an older one comes into the window');
  assert.deepEqual(ended.quick({ rows: [over('2', 101)] }), []);
  ended.take({ rows: [going], order: ['3'], total: 1 });
  assert.deepEqual(ended.quick({ rows: [over('3', 102)] }), [], 'it is still to leave the list of active runs');
  assert.deepEqual(ended.take({ rows: [], order: [], total: 0 }), ['3']);
  assert.deepEqual(ended.quick({ rows: [over('3', 102)] }), []);
});

test('picked runs: one, some, a range from where one began', () => {
  const picked = new Picked();
  picked.only('a');
  picked.toggle('b');
  assert.deepEqual([[...picked], picked.anchor], [['a', 'b'], 'b']);
  picked.toggle('a');
  assert.deepEqual([...picked], ['b']);
  picked.range(['x', 'y']);
  assert.deepEqual([[...picked], picked.anchor], [['x', 'y'], 'a']);
  picked.clear();
  assert.deepEqual([picked.size, picked.anchor], [0, null]);
});

test('tags are read as they are written', () => {
  const tags = { a: '1', flag: '', 'with,comma': 'x, y=z' };
  assert.deepEqual(tagsIn(tagsText(tags)), tags);
  assert.deepEqual(tagsIn(' , a = 1 ,=x, b'), { a: '1', b: '' });
});

test('what a notebook remembers may have been written by anybody', () => {
  assert.deepEqual(remembered({ submit: { target: ['gpu'], env: 'x', inputs: [1, 'a=b', 'c\nd'], name: ['no'], __proto__: null } }), { target: ['gpu'], inputs: ['a=b'] });
  for (const wrong of [undefined, null, 3, 'x', [], { submit: null }, { submit: [] }]) {
    assert.deepEqual(remembered(wrong), {});
  }
  assert.deepEqual(toRemember({ target: ['gpu'], name: ['x'], env: [] }), { target: ['gpu'] });
});

test('what is left is guessed from what is done', () => {
  const of = (fraction: number | null, over = false) => leftOf(run('1', 'a', { started: 100, ended: null, fraction, over }), 200);
  assert.deepEqual([of(0.5), of(null), of(0), of(0.5, true)], [100, null, null, null]);
});
