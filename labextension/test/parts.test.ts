// Small curves, cells and figures: what is drawn of them.

import assert from 'node:assert/strict';
import test from 'node:test';
import { outline } from '../src/view/spark.js';
import { Machine, Progress } from '../src/view/usage.js';

test('a curve fills its box, whatever its values are', () => {
  assert.equal(outline({ x: [0, 1, 2], y: [0, 5, 10], top: 0, bottom: 0 }), 'M0 97L500 50L1000 3');
  assert.equal(outline({ x: [5], y: [5], top: 10, bottom: 0 }), 'M0 50L1000 50');
  assert.equal(outline({ x: [0, 1], y: [0, 0], top: 0, bottom: 0 }), 'M0 97L1000 97', 'nothing lies on the ground');
  assert.equal(outline({ x: [0, 1], y: [7, 7], top: -Infinity, bottom: null }), 'M0 50L1000 50');
  assert.equal(outline({ x: [0, 1], y: [NaN, Infinity], top: 1, bottom: 0 }), '');
  assert.doesNotMatch(outline({ x: [0, 1], y: [-1e308, 1e308], top: -Infinity, bottom: null }), /NaN|Infinity/);
});

test('figures grow by what is appended, and stay few', () => {
  const machine = new Machine();
  const usage = { name: 'cpu', unit: '%', most: 100, offset: 0, points: 1 };
  const system = { cores: 1, memory: 1, gpus: [] };
  machine.take({ ...system, usage: [{ ...usage, mode: 'reset' }] }, new Float64Array([1, 10]));
  for (let i = 0; i < 5000; i++) {
    machine.take({ ...system, usage: [{ ...usage, mode: 'append' }] }, new Float64Array([i, i]));
  }
  const figure = machine.figures.get('cpu');
  assert.equal(figure?.values.at(-1), 4999);
  assert.ok((figure?.values.length ?? 0) <= 1200 && figure?.values.length === figure?.times.length);
});

test('a cell that is not named is passed or ahead by its place', () => {
  const progress = new Progress();
  progress.take({ total: 4, done: 2, current: 3, failed: null, said: '', error: null, changed: [[3, 'running', 0, null]] });
  assert.deepEqual([1, 2, 3, 4].map(n => progress.state(n)), ['passed', 'passed', 'running', 'ahead']);
  progress.clear();
  assert.equal(progress.total, 0);
});
