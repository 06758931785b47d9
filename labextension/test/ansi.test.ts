import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collapse, parse, plain, PLAIN } from '../src/view/ansi.js';

const styled = (line: string): [string, object][] =>
  parse(line).map(({ text, style }) => [
    text,
    Object.fromEntries(Object.entries(style).filter(([, value]) => value !== null && value !== false))
  ]);

test('a line without escapes is one plain piece', () => {
  assert.deepEqual(parse('step 1\tloss 2'), [{ text: 'step 1\tloss 2', style: PLAIN }]);
  assert.deepEqual(parse(''), []);
});

test('colours, weights and their ends', () => {
  assert.deepEqual(styled('a\u001b[1;31mb\u001b[22mc\u001b[0md'), [
    ['a', {}],
    ['b', { bold: true, fg: 1 }],
    ['c', { fg: 1 }],
    ['d', {}]
  ]);
  assert.deepEqual(styled('\u001b[3;4;9;2;7mx\u001b[23;24;29;22;27my'), [
    ['x', { italic: true, underline: true, strike: true, dim: true, inverse: true }],
    ['y', {}]
  ]);
  assert.deepEqual(styled('\u001b[93;104mx\u001b[39;49my'), [['x', { fg: 11, bg: 12 }], ['y', {}]]);
  assert.deepEqual(styled('\u001b[31mx\u001b[my'), [['x', { fg: 1 }], ['y', {}]]);
});

test('256 colours and true colours, in both spellings', () => {
  assert.deepEqual(styled('\u001b[38;5;9mx'), [['x', { fg: 9 }]]);
  assert.deepEqual(styled('\u001b[38;5;196mx'), [['x', { fg: [255, 0, 0] }]]);
  assert.deepEqual(styled('\u001b[48;5;232mx'), [['x', { bg: [8, 8, 8] }]]);
  assert.deepEqual(styled('\u001b[38;2;1;2;3;1mx'), [['x', { fg: [1, 2, 3], bold: true }]]);
  assert.deepEqual(styled('\u001b[38:2::1:2:3mx'), [['x', { fg: [1, 2, 3] }]]);
  assert.deepEqual(styled('\u001b[4:3mx\u001b[4:0my'), [['x', { underline: true }], ['y', {}]]);
});

for (const [what, line] of [
  ['an index too large', '\u001b[38;5;256mx'],
  ['a part too large', '\u001b[38;2;1;2;999mx'],
  ['a part that is missing', '\u001b[38;2;1mx'],
  ['a form that is unknown', '\u001b[38;9;1mx'],
  ['no form', '\u001b[38mx'],
  ['an unknown code', '\u001b[777mx'],
  ['a code that is huge', '\u001b[99999999999999999999999mx'],
  ['private parameters', '\u001b[?25lx'],
  ['a style in a private sequence', '\u001b[>31mx']
] as const) {
  test(`a colour that is none colours nothing: ${what}`, () => {
    assert.deepEqual(styled(line), [['x', {}]]);
  });
}

for (const [what, line] of [
  ['clear screen', 'a\u001b[2J\u001b[Hb'],
  ['cursor', 'a\u001b[10;10Hb\u001b[1A'],
  ['title', 'a\u001b]0;owned\u0007b'],
  ['title, other end', 'a\u001b]0;owned\u001b\\b'],
  ['title, C1 end', 'a\u001b]0;owned\u009cb'],
  ['hyperlink', 'a\u001b]8;;javascript:alert(1)\u0007b\u001b]8;;\u0007'],
  ['clipboard', 'a\u001b]52;c;ZXZpbA==\u0007b'],
  ['device control', 'a\u001bP1$tx\u001b\\b'],
  ['reset', 'a\u001bcb'],
  ['character set', 'a\u001b(0b'],
  ['C1 control', 'a\u009b31mb'.replace('31m', '')],
  ['bell and null', 'a\u0007\u0000b'],
  ['bidirectional override', 'a\u202eb\u2066'],
  ['lone escape at the end', 'ab\u001b'],
  ['sequence cut at the end', 'ab\u001b[31']
] as const) {
  test(`what is no colour is dropped: ${what}`, () => {
    assert.equal(plain(line), 'ab');
  });
}

test('an unfinished title takes the rest of its line, no more', () => {
  assert.equal(plain('a\u001b]0;never ends'), 'a');
});

test('markup is text', () => {
  const line = '<img src=x onerror=alert(1)>\u001b[1m</b>&amp;';
  assert.equal(plain(line), '<img src=x onerror=alert(1)></b>&amp;');
});

test('many sequences take time in proportion to their number', () => {
  // the pattern must not look back: a long line of broken sequences is read once
  const line = '\u001b['.repeat(50_000) + '\u001b]'.repeat(50_000);
  assert.equal(plain(line), '');
});

test('a progress bar shows its last state', () => {
  assert.equal(collapse(' 10%\r 20%\r 30%'), ' 30%');
  assert.equal(collapse(' 10%\r 20%\r'), ' 20%');
  assert.equal(collapse('line\r\r'), 'line');
  assert.equal(collapse(' 10%\r 20%\r\u001b[0m'), ' 20%');
  assert.equal(collapse('\r\r'), '');
  assert.equal(collapse('ab\b\bc'), 'c');
  assert.equal(collapse('\b\bx'), 'x');
});
