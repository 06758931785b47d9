import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { smooth } from '../src/view/smooth.js';
import { logTicks, range, ticks, timeTicks } from '../src/view/ticks.js';
import { bytes, clock, number, plural, setTranslation, span, spoken, t } from '../src/view/words.js';

const smoothed = (values: number[], weight: number): number[] => [
  ...smooth(values, weight, new Float64Array(values.length))
];

test('smoothing: none, of a constant, of a step', () => {
  assert.deepEqual(smoothed([3, 1, 2], 0), [3, 1, 2]);
  assert.deepEqual(smoothed([4, 4, 4], 0.9).map(v => Math.round(v * 1e9) / 1e9), [4, 4, 4]);
  const [first, second] = smoothed([0, 10], 0.5) as [number, number];
  assert.equal(first, 0);
  assert.ok(Math.abs(second - 20 / 3) < 1e-12, 'the start counts no more than it should');
});

test('smoothing passes over what is not finite', () => {
  const out = smoothed([1, Number.NaN, 1, Infinity, 1], 0.9);
  assert.ok(Number.isNaN(out[1]) && Number.isNaN(out[3]));
  assert.ok(Math.abs((out[4] as number) - 1) < 1e-12);
});

test('ticks are round and inside', () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.05, 0.31), [0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(-3, 7), [-2, 0, 2, 4, 6]);
  assert.deepEqual(timeTicks(0, 100), [0, 30, 60, 90]);
  assert.deepEqual(timeTicks(0, 7200), [0, 1800, 3600, 5400, 7200]);
  assert.deepEqual(logTicks(-4, 1), [-4, -3, -2, -1, 0, 1]);
  assert.deepEqual(logTicks(0, 1).map(v => Math.round(10 ** v)), [1, 2, 5, 10]);
  assert.deepEqual(logTicks(0, 0.5).map(v => Math.round(10 ** v * 10) / 10), [1, 1.5, 2, 2.5, 3]);
});

for (const [low, high] of [
  [0, 0], [5, 5], [-1e308, 1e308], [0, 5e-324], [1e15, 1e15 + 2], [1e300, 1.7e308], [-1e-300, 1e-300],
  [Infinity, -Infinity], [Number.NaN, Number.NaN], [0.1, 0.1 + 1e-17]
] as [number, number][]) {
  test(`every pair of floats has a range and ticks that can be drawn: ${low} to ${high}`, () => {
    const [a, b] = range(low, high, 0.05);
    assert.ok(Number.isFinite(b - a) && b > a, `${a} to ${b}`);
    for (const some of [ticks(a, b), timeTicks(a, b)]) {
      assert.ok(some.length >= 1 && some.length < 100 && some.every(Number.isFinite), String(some));
    }
  });
}

test('positive values get no axis below zero', () => {
  assert.equal(range(0.1, 10, 0.05)[0], 0);
  assert.ok(range(-0.1, 10, 0.05)[0] < -0.1);
});

test('numbers for people', () => {
  assert.equal(number(1234567), '1,234,567');
  assert.equal(number(0.0345124), '0.034512');
  assert.equal(number(-12.5), '−12.5');
  assert.equal(number(1.25e-7), '1.25e−7');
  assert.equal(number(0), '0');
  assert.equal(number(Number.NaN), 'NaN');
  assert.equal(number(1e300), '1e300');
});

test('times and sizes for people', () => {
  assert.deepEqual([0, 65, 3661, 90061].map(clock), ['0:00', '1:05', '1:01:01', '1 d 01:01:01']);
  assert.deepEqual([30, 90, 5400, 129600].map(span), ['30 s', '1.5 min', '1.5 h', '1.5 d']);
  assert.deepEqual([0, 999, 1500, 3e8].map(bytes), ['0 B', '999 B', '1.5 kB', '300 MB']);
  assert.equal(spoken('CancelRequested'), 'Cancel requested');
});

test('words can be translated, with what they name put in as it is', () => {
  const english = { __: (text: string) => text, _n: (one: string, many: string, n: number) => (n === 1 ? one : many) };
  const forms = ['{n} запуск', '{n} запуска', '{n} запусков'];
  const form = (n: number): number => (n % 10 === 1 && n % 100 !== 11 ? 0 : n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 10 || n % 100 >= 20) ? 1 : 2);
  setTranslation({
    __: text => (text === 'by {user}' ? 'von {user}' : text),
    _n: (one, many, n) => (one === 'One run' ? (forms[form(n)] as string) : english._n(one, many, n))
  });
  assert.equal(t('by {user}', { user: '{x} $& <b>' }), 'von {x} $& <b>');
  const counted = [1, 2, 5, 11, 21, 1022].map(n => plural(n, 'One run', '{n} runs'));
  assert.deepEqual(counted, ['1 запуск', '2 запуска', '5 запусков', '11 запусков', '21 запуск', '1,022 запуска']);
  setTranslation(english);
  assert.equal(t('{missing}'), '{missing}');
  assert.deepEqual([1, 2].map(n => plural(n, 'One run', '{n} runs')), ['One run', '2 runs']);
});

test('no text is changed by the signs that mean something to JupyterLab’s translator', () => {
  const files = readdirSync('labextension/src', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'));
  assert.ok(files.length > 50);
  const texts = files.flatMap(name => [...readFileSync(`labextension/src/${name}`, 'utf8').matchAll(/(?:\bt|trans\.__)\('([^'\n]*)'/g)]);
  assert.ok(texts.length > 300, `${texts.length} texts`);
  assert.deepEqual(texts.map(found => found[1]).filter(text => text?.includes('%%')), []);
});
