import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSubmit } from '../src/commands.js';

test('a plain cell gets %%submit as its first line', () => {
  assert.equal(withSubmit('x = 1\n'), '%%submit\nx = 1\n');
});

test('an empty cell gets the magic and an empty line to type in', () => {
  assert.equal(withSubmit(''), '%%submit\n');
});

for (const source of ['%%submit -e a\nx = 1', '%%time\nx = 1', '\n  %%submit\nx']) {
  test(`a cell that has a cell magic stays as it is: ${JSON.stringify(source)}`, () => {
    assert.equal(withSubmit(source), source);
  });
}

test('a line magic or a percent sign in the text is no cell magic', () => {
  assert.equal(withSubmit('%matplotlib inline'), '%%submit\n%matplotlib inline');
  assert.equal(withSubmit('a %% b'), '%%submit\na %% b');
});

test('twice is once', () => {
  assert.equal(withSubmit(withSubmit('x')), withSubmit('x'));
});
