import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FormOption, SubmitForm } from '../src/api.js';
import { magicAt, offerAt } from '../src/notebook/complete.js';
import { lineOf, magicOf, readLine, withLine, writeLine } from '../src/notebook/line.js';
import { quoted, splitLine } from '../src/notebook/words.js';

const option = (name: string, flags: string, metavar: string | null, repeat = false): FormOption => ({
  name,
  flags: flags.split(' '),
  metavar,
  help: `about ${name}`,
  repeat
});
const OPTIONS = [
  option('experiment', '-e --experiment', 'NAME'),
  option('target', '-t --target', 'COMPUTE'),
  option('env', '--env', 'ENV'),
  option('inputs', '-i --input', 'NAME=DATA', true),
  option('parameters', '-p --parameter', 'KEY=VALUE', true),
  option('gpus', '--gpus', 'N'),
  option('name', '--name', 'NAME'),
  option('tags', '--tag', 'K=V', true),
  option('block', '-b --block', null)
];
const FORM: SubmitForm = {
  computes: [{ name: 'local', about: 'Local' }, { name: 'gpu box', about: '' }],
  environments: [{ name: 'torch', about: 'version 2' }],
  datasets: [{ name: 'fashion-mnist', about: 'version 1' }, { name: 'iris', about: '' }],
  experiments: ['first'],
  options: OPTIONS,
  parameters: [['lr', '0.1']]
};

test('words are those of a shell', () => {
  const texts = (line: string) => splitLine(line).map(word => word.text);
  assert.deepEqual(texts(`a  'b c' "d \\" e" f\\ g h'i'j ''`), ['a', 'b c', 'd " e', 'f g', 'hij', '']);
  assert.equal(splitLine(`a 'open`)[1]?.open, true);
  assert.deepEqual(splitLine('a bc', 10).map(({ from, to }) => [from, to]), [[10, 11], [12, 14]]);
});

for (const word of ['plain', 'two words', "it's", '', 'a"b', '$(rm)', 'x={y}', 'back\\slash', '--flag', 'é', 'new\nline', '*']) {
  test(`a word that was quoted is itself again: ${JSON.stringify(word)}`, () => {
    assert.deepEqual(splitLine(quoted(word)).map(one => one.text), [word]);
  });
}

test('the line of a cell', () => {
  assert.equal(lineOf('%%submit -e a\nx = 1'), '-e a');
  assert.equal(lineOf('\n  %%submit\nx'), '');
  assert.equal(lineOf('%%submitted\nx'), null);
  assert.equal(lineOf('x = 1\n%%submit'), null);
  assert.equal(magicOf('%%time\nx'), 'time');
  assert.equal(magicOf('x'), null);
});

test('options are read however they are written', () => {
  const { values, rest } = readLine('-e one --target=local -tgpu -i a=b --input "c=d e" -b train.py -- --lr 3', OPTIONS);
  assert.deepEqual(values, { experiment: ['one'], target: ['gpu'], inputs: ['a=b', 'c=d e'], block: [''] });
  assert.equal(rest, '-- --lr 3');
});

test('what is changed is written in its place, what is not stays as it was written', () => {
  const line = `--env "my env.yml"  -e old --unknown x -- --lr '3 4'`;
  assert.equal(
    writeLine(line, { experiment: ['new one'], env: ['my env.yml'] }, OPTIONS),
    `--env "my env.yml" -e 'new one' --unknown x -- --lr '3 4'`
  );
});

test('what is new is added, what is empty is taken away, switches are words of their own', () => {
  assert.equal(writeLine('', { target: ['local'], tags: ['a=b', 'c=d e'], block: [''] }, OPTIONS), `-t local --tag a=b --tag 'c=d e' -b`);
  assert.equal(writeLine('-t x -i a=1 -i b=2 -b', { inputs: [], block: [] }, OPTIONS), '-t x');
  assert.equal(writeLine('-i a=1 -e x -i b=2', { inputs: ['c=3'] }, OPTIONS), '-i c=3 -e x');
});

test('a value that looks like an option stays a value', () => {
  const line = writeLine('', { name: ['--gpus'] }, OPTIONS);
  assert.deepEqual(readLine(line, OPTIONS).values, { name: ['--gpus'] });
});

test('written and read again, hostile values are the same', () => {
  const changes = { name: [`'; rm -rf "$HOME" #`], tags: ['a=`x`', 'b=\\', 'c=🙂'], experiment: ['--'] };
  assert.deepEqual(readLine(writeLine('', changes, OPTIONS), OPTIONS).values, changes);
});

test('the line comes into the cell, and its code stays', () => {
  assert.equal(withLine('x = 1\n', '-e a'), '%%submit -e a\nx = 1\n');
  assert.equal(withLine('%%submit -e a\nx = 1', ''), '%%submit\nx = 1');
  assert.equal(withLine('\n%%submit\nx', '-b'), '%%submit -b\nx');
  assert.equal(withLine('%%submit', '-b'), '%%submit -b\n');
  assert.equal(withLine('%%time\nx', '-b'), '%%time\nx');
});

const labels = (text: string) => offerAt(text.replace('|', ''), text.indexOf('|'), FORM)?.choices.map(one => one.label);

test('options are offered, those that are there once are not offered twice', () => {
  assert.deepEqual(labels('%%submit --e|'), ['--experiment', '--env']);
  assert.deepEqual(labels('%%submit --env torch --e|'), ['--experiment']);
  assert.deepEqual(labels('%%submit -i a=b --inp|'), ['--input']);
  assert.ok(labels('%%submit |')?.includes('--target'));
  assert.ok(labels('run = %submit train.py |')?.includes('--gpus'));
});

test('values are offered where an option wants one', () => {
  assert.deepEqual(labels('%%submit -t |'), ['local', 'gpu box']);
  assert.deepEqual(labels('%%submit --env to|'), ['torch']);
  assert.deepEqual(labels('%%submit --env=|'), ['--env=torch']);
  assert.deepEqual(labels('%%submit -i x=|'), ['x=fashion-mnist', 'x=iris']);
  assert.deepEqual(labels('%%submit -i |'), ['fashion_mnist=fashion-mnist', 'iris=iris']);
  assert.deepEqual(labels('%%submit -p |'), ['lr=']);
  assert.deepEqual(labels('%upload_data folder --name i|'), ['iris']);
});

test('what is inserted is one word, and replaces the whole word at the cursor', () => {
  const offer = offerAt('%%submit -t gpu_old -b\nx', '%%submit -t g'.length, FORM);
  assert.deepEqual(offer, {
    start: 12,
    end: 19,
    choices: [{ label: 'gpu box', insert: `'gpu box'`, kind: 'compute', about: '' }]
  });
});

test('nothing is offered where it is none of our business', () => {
  for (const text of ['x = |', '%%submi|', '%%time |', '%%submit -- |', '%%submit train|', 'x\n%%submit |', '%%submit\nx = |']) {
    assert.equal(labels(text), undefined, text);
  }
});

test('the line is found in a cell with many', () => {
  assert.deepEqual(magicAt('a\n%submit x.py -e b\nc', 15), { name: 'submit', from: 9, text: ' x.py -e b' });
});
