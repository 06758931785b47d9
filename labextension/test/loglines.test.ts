import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK, LogLines, MOST_CHUNKS, MOST_TEXT } from '../src/view/loglines.js';

const lines = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `line ${from + i}`);

test('what was put is there, what was not is missing', () => {
  const log = new LogLines();
  log.total = 2000;
  log.put(480, lines(480, 40));
  assert.equal(log.get(499), 'line 499');
  assert.equal(log.get(500), 'line 500');
  assert.equal(log.get(479), undefined);
  assert.equal(log.missing(480, 520), null);
  assert.deepEqual(log.missing(470, 490), [470, 480]);
  assert.deepEqual(log.missing(510, 530), [520, 530]);
  assert.deepEqual(log.missing(1990, 3000), [1990, 2000]);
});

test('a million lines streamed keep memory flat, and the end is there', () => {
  const log = new LogLines();
  for (let from = 0; from < 1_000_000; from += 500) {
    log.total = from + 500;
    log.put(from, lines(from, 500));
  }
  assert.ok(log.held <= MOST_CHUNKS * CHUNK);
  assert.equal(log.get(999_999), 'line 999999');
  assert.equal(log.get(0), undefined);
});

test('the chunk looked at last stays, others are forgotten, the end never', () => {
  const log = new LogLines();
  log.total = 1_000_000;
  log.put(999_500, lines(999_500, 500));
  log.put(0, lines(0, 500));
  for (let from = 10_000; from < 10_000 + CHUNK * (MOST_CHUNKS + 5); from += CHUNK) {
    log.missing(0, 10);
    log.put(from, lines(from, 500));
  }
  assert.equal(log.get(0), 'line 0');
  assert.equal(log.get(10_000), undefined);
  assert.equal(log.get(999_999), 'line 999999');
});

test('long lines are bounded by their text', () => {
  const log = new LogLines();
  const line = 'x'.repeat(4096);
  for (let from = 0; from < 20_000; from += 500) {
    log.total = from + 500;
    log.put(from, new Array<string>(500).fill(line));
  }
  assert.ok(log.held * 4096 <= MOST_TEXT + 3 * CHUNK * 4096);
});

test('another log begins empty', () => {
  const log = new LogLines();
  log.total = 5;
  log.put(0, lines(0, 5));
  log.clear();
  assert.equal(log.get(0), undefined);
  assert.equal(log.held, 0);
});
