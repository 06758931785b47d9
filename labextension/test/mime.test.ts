import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMAT, read, stale } from '../src/mime/data.js';

const good = {
  format: FORMAT,
  run: 'digits_1700000000_0a1b2c3d',
  workspace: 'default',
  part: 'saved',
  view: '0123456789abcdef',
  static: {
    status: 'Failed',
    over: true,
    reason: 'exit code 1',
    title: 'digits',
    experiment: 'digits',
    target: 'local',
    elapsed: 12.5,
    parameters: [['lr', '0.1']],
    tags: [['best', '']],
    warnings: [],
    metrics: [{ name: 'loss', last: '0.25', count: 3, points: [1, null, 0.25] }],
    more: 2,
    log: ['one', 'two'],
    saved: 1_700_000_000
  }
};

test('what Python writes is read whole', () => {
  const { format, ...rest } = good;
  assert.equal(format, FORMAT);
  assert.deepEqual(read(good), rest);
});

test('what is none of ours, or newer, is nothing', () => {
  const odd = [null, undefined, 0, '', 'text', [], [good], {}, { run: 1 }, { ...good, format: 2 }, { ...good, format: '1' }];
  for (const value of odd) {
    assert.equal(read(value), null);
  }
});

test('a run that is no name is nothing: it becomes part of addresses', () => {
  for (const run of ['', '../../etc', 'a/b', 'a?b', 'a b', 'a\n', '<b>', 'x'.repeat(201), 7, null, {}]) {
    assert.equal(read({ ...good, run }), null);
  }
});

test('a workspace or view that is no name is left out', () => {
  for (const name of ['../x', 'a b', '}</style>', 5, null, ['a']]) {
    const found = read({ ...good, workspace: name, view: name });
    assert.equal(found?.workspace, '');
    assert.equal(found?.view, '');
  }
});

test('every field of every wrong kind is read without harm', () => {
  const wrong: unknown[] = [null, 0, NaN, -1, 'text', true, [], {}, [[]], [{}], [null], { length: 3 }, ['a', 1, [2]], { toString: null }];
  const kinds = { status: 'string', over: 'boolean', reason: 'string', title: 'string', more: 'number' } as const;
  for (const key of Object.keys(good.static)) {
    for (const value of wrong) {
      const found = read({ ...good, static: { ...good.static, [key]: value } });
      assert.ok(found);
      for (const [name, kind] of found.static ? Object.entries(kinds) : []) {
        assert.equal(typeof found.static?.[name as keyof typeof kinds], kind, `${name} where ${key} is ${String(JSON.stringify(value))}`);
      }
      const lists = found.static ? [...found.static.parameters.flat(), ...found.static.tags.flat(), ...found.static.log, ...found.static.warnings] : [];
      assert.ok(lists.every(text => typeof text === 'string'));
      const points = found.static?.metrics.flatMap(metric => metric.points) ?? [];
      assert.ok(points.every(point => point === null || Number.isFinite(point)));
    }
  }
});

test('without a saved part there is still the run', () => {
  for (const part of [undefined, null, 5, 'text', [], {}, { status: '' }]) {
    const found = read({ ...good, static: part });
    assert.equal(found?.run, good.run);
    assert.equal(found?.static, null);
  }
});

test('a notebook that says too much is cut', () => {
  const many = Array.from({ length: 100_000 }, () => 'x');
  const found = read({
    ...good,
    static: { ...good.static, title: 'x'.repeat(1e6), log: ['y'.repeat(1e6), ...many], parameters: many, metrics: many, warnings: many }
  });
  assert.ok(JSON.stringify(found).length < 30_000);
});

test('words stay as they are: they become text, never markup', () => {
  const found = read({ ...good, static: { ...good.static, title: '<img src=x onerror=alert(1)>' } });
  assert.equal(found?.static?.title, '<img src=x onerror=alert(1)>');
});

test('an output is written once the run is over and it does not say so', () => {
  assert.equal(stale(read(good)), false);
  assert.equal(stale(read({ ...good, static: { ...good.static, over: false } })), true);
  assert.equal(stale(read({ ...good, static: null })), true);
  assert.equal(stale(read({ ...good, part: 'view' })), false);
  assert.equal(stale(null), false);
});
