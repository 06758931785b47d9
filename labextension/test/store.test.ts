import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MOST_POINTS, type Frame, type Log, type Run, type Series } from '../src/contract.js';
import { numbersOf } from '../src/source/source.js';
import { Store } from '../src/view/store.js';

const RUN: Run = {
  id: 'a_1', name: 'a_1', experiment: 'a', target: 'local', by: null, status: 'Running',
  shown: 'Running', reason: null, waiting: null, created: 90, started: 100, ended: null, over: false,
  can_stop: true, warnings: [], parameters: [], tags: [], inputs: [], links: [], logs: ['std_log.txt']
};

const frame = (seq: number, more: Partial<Frame> = {}): Frame => ({
  type: 'frame', seq, full: false, now: 1000, problem: null, series: [], ...more
});

const series = (points: number, more: Partial<Series> = {}): Series => ({
  name: 'loss', kind: 'number', mode: 'append', count: points, nonfinite: 0, odd: [], last: '1',
  offset: 0, points, columns: ['step', 'time', 'value'], ...more
});

const log = (from: number, lines: string[], total = from + lines.length): Log => ({
  from, lines, total, bytes: 0, partial: false, dropped: null, skipped: 0
});

const NOTHING = new Float64Array(0);

test('frames in order ask for nothing; a gap says hello, and what came is shown all the same', () => {
  const store = new Store();
  assert.equal(store.apply(frame(7, { full: true, run: RUN }), NOTHING).hello, false);
  assert.equal(store.apply(frame(8), NOTHING).hello, false);
  const change = store.apply(frame(10, { run: { ...RUN, shown: 'Completed' } }), NOTHING);
  assert.equal(change.hello, true);
  assert.equal(store.run?.shown, 'Completed');
  assert.equal(store.apply(frame(3, { full: true, run: RUN }), NOTHING).hello, false);
});

test('a first frame that is not full is a gap', () => {
  assert.equal(new Store().apply(frame(0), NOTHING).hello, true);
});

test('append adds, reset replaces, each with its own columns', () => {
  const store = new Store();
  store.apply(frame(0, { full: true, series: [series(2)] }), new Float64Array([0, 10, 5, 1, 11, 4]));
  store.apply(frame(1, { series: [series(1, { offset: 1 })] }), new Float64Array([99, 2, 12, 3]));
  const points = store.metrics.get('loss')?.points;
  assert.deepEqual([...(points?.column('step') ?? [])], [0, 1, 2]);
  assert.deepEqual([...(points?.column('last') ?? [])], [5, 4, 3]);
  const columns = ['step', 'time', 'min', 'max', 'last'];
  store.apply(frame(2, { series: [series(1, { mode: 'reset', columns })] }), new Float64Array([7, 70, 1, 9, 4]));
  assert.deepEqual([...(points?.column('max') ?? [])], [9]);
  store.apply(frame(3, { series: [series(1)] }), new Float64Array([8, 80, 2]));
  assert.deepEqual([...(points?.column('min') ?? [])], [1, 2]);
  assert.deepEqual([...(points?.column('max') ?? [])], [9, 2]);
});

test('a series that says more than its buffer holds adds nothing', () => {
  const store = new Store();
  store.apply(frame(0, { full: true, series: [series(1000)] }), new Float64Array(6));
  assert.equal(store.metrics.get('loss')?.points.length, 0);
});

test('a full frame forgets metrics that are gone, and keeps lines that are known by number', () => {
  const store = new Store();
  store.apply(frame(0, { full: true, series: [series(0)], log: log(0, ['a', 'b']) }), NOTHING);
  store.apply(frame(1, { full: true, series: [series(0, { name: 'acc' })], log: log(2, ['c']) }), NOTHING);
  assert.deepEqual([...store.metrics.keys()], ['acc']);
  assert.equal(store.log.get(0), 'a');
  store.apply(frame(2, { full: true, log: log(0, ['new']) }), NOTHING);
  assert.equal(store.log.get(0), 'new');
  assert.equal(store.log.get(1), undefined);
});

test('an unfinished last line is replaced', () => {
  const store = new Store();
  store.apply(frame(0, { full: true, log: log(0, ['a', '10%']) }), NOTHING);
  store.apply(frame(1, { log: log(1, ['20%', 'b']) }), NOTHING);
  assert.deepEqual([0, 1, 2].map(n => store.log.get(n)), ['a', '20%', 'b']);
});

test('a million points replayed keep memory flat, and no extreme is lost', () => {
  const store = new Store();
  store.apply(frame(0, { full: true, run: RUN, series: [series(0)] }), NOTHING);
  const numbers = new Float64Array(3 * 500);
  let hellos = 0;
  for (let seq = 1; seq <= 2000; seq++) {
    for (let i = 0; i < 500; i++) {
      const step = (seq - 1) * 500 + i;
      numbers.set([step, step / 100, step === 123_456 ? 1e6 : Math.sin(step)], i * 3);
    }
    hellos += store.apply(frame(seq, { series: [series(500)] }), numbers).hello ? 1 : 0;
  }
  const points = store.metrics.get('loss')?.points;
  assert.ok(points);
  assert.ok(hellos > 0, 'buckets are asked for');
  assert.ok(points.length <= 2 * MOST_POINTS);
  assert.ok(points.capacity <= 5 * 2 * MOST_POINTS);
  assert.equal(Math.max(...points.column('max')), 1e6);
  assert.equal(points.column('step')[points.length - 1], 999_999);
});

test('time: elapsed goes by the clock at the other end, and stops at the end', () => {
  const store = new Store();
  assert.equal(store.elapsed(500), null);
  store.apply(frame(0, { full: true, run: RUN, now: 1000 }), NOTHING, 400);
  assert.equal(store.elapsed(410), 910);
  store.apply(frame(1, { run: { ...RUN, ended: 160, over: true } }), NOTHING, 420);
  assert.equal(store.elapsed(999), 60);
});

test('a metric may have any name', () => {
  const store = new Store();
  for (const [seq, name] of ['__proto__', 'constructor', '<b>', ''].entries()) {
    store.apply(frame(seq, { series: [series(1, { name })] }), new Float64Array([0, 0, 1]));
    assert.equal(store.metrics.get(name)?.points.length, 1);
  }
});

test('a buffer is read where it lies, at any offset', () => {
  const bytes = new Uint8Array(8 * 3 + 5);
  const view = new DataView(bytes.buffer, 5, 16);
  view.setFloat64(0, 1.5, true);
  view.setFloat64(8, Number.NaN, true);
  assert.deepEqual([...numbersOf(view)], [1.5, Number.NaN]);
  assert.equal(numbersOf(undefined).length, 0);
});
