import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel, IDLE, part, SILENCE, WAITS, type Clock, type Heard, type Socket } from '../src/source/channel.js';

/** Time that passes when it is told to. */
class Time implements Clock {
  private at = 0;
  private waiting = new Map<number, { due: number; work: () => void }>();
  private count = 0;
  now = (): number => this.at;
  after(milliseconds: number, work: () => void): unknown {
    this.waiting.set(++this.count, { due: this.at + milliseconds, work });
    return this.count;
  }
  forget(timer: unknown): void {
    this.waiting.delete(timer as number);
  }
  pass(milliseconds: number): void {
    const end = this.at + milliseconds;
    for (;;) {
      const next = [...this.waiting].filter(([, { due }]) => due <= end).sort((a, b) => a[1].due - b[1].due)[0];
      if (!next) {
        break;
      }
      this.waiting.delete(next[0]);
      this.at = next[1].due;
      next[1].work();
    }
    this.at = end;
  }
  get timers(): number {
    return this.waiting.size;
  }
}

class Line implements Socket {
  binaryType = '';
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  said: Record<string, unknown>[] = [];
  closed = false;
  send(data: string): void {
    this.said.push(JSON.parse(data) as Record<string, unknown>);
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.onopen?.(new Event('open'));
  }
  end(): void {
    this.onclose?.(new Event('close') as CloseEvent);
  }
  tell(header: object, numbers = new Float64Array(0)): void {
    this.onmessage?.({ data: message(header, numbers) } as MessageEvent);
  }
}

function message(header: object, numbers = new Float64Array(0)): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(4 + text.length + ((8 - ((4 + text.length) % 8)) % 8) + numbers.byteLength).fill(32);
  const length = head.length - 4 - numbers.byteLength;
  new DataView(head.buffer).setUint32(0, length, true);
  head.set(text, 4);
  head.set(new Uint8Array(numbers.buffer), 4 + length);
  return head.buffer;
}

function setup() {
  const [lines, time] = [[] as Line[], new Time()];
  const channel = new Channel(() => {
    const line = new Line();
    lines.push(line);
    return line;
  }, time);
  const heard: Heard[] = [];
  const links: string[] = [];
  const problems: [string, boolean][] = [];
  const listener = {
    heard: (said: Heard) => void heard.push(said),
    linked: (link: string) => void links.push(link),
    problem: (problem: { message: string }, final: boolean) => void problems.push([problem.message, final])
  };
  return { channel, lines, time, heard, links, problems, listener, line: () => lines.at(-1) as Line };
}

test('one line for all; what is asked for before it is open is asked for when it is', () => {
  const { channel, lines, line, listener } = setup();
  channel.follow({ what: 'runs', query: {} }, listener);
  channel.follow({ what: 'machine' }, listener);
  assert.equal(lines.length, 1);
  assert.deepEqual(line().said, []);
  line().open();
  assert.deepEqual(line().said, [
    { what: 'runs', query: {}, do: 'open', sub: 1 },
    { what: 'machine', do: 'open', sub: 2 }
  ]);
});

test('messages come to whom they are for, with their numbers', () => {
  const { channel, line, listener, heard } = setup();
  const numbers: number[][] = [];
  channel.follow({ what: 'run', run: 'a' }, { heard: (_, all) => void numbers.push([...all]) });
  channel.follow({ what: 'machine' }, listener);
  line().open();
  line().tell({ sub: 1, type: 'frame' }, Float64Array.of(1.5, Number.NaN));
  line().tell({ sub: 7, type: 'machine' });
  assert.deepEqual(numbers, [[1.5, Number.NaN]]);
  assert.deepEqual(heard, []);
});

test('a line that was lost comes back, and everything is asked for again', () => {
  const { channel, lines, line, time, links, listener } = setup();
  const run = channel.follow({ what: 'run', run: 'a' }, listener);
  run.say({ type: 'hello', view: 'v', have: null, buckets: 800 });
  line().open();
  assert.deepEqual(line().said.map(one => one['do']), ['open', 'say'], 'what was said too early is said now');
  line().end();
  assert.deepEqual([links, run.link], [['lost'], 'lost']);
  time.pass(WAITS[0] as number);
  assert.equal(lines.length, 2);
  line().open();
  assert.deepEqual(links, ['lost', 'open']);
  assert.deepEqual(line().said.map(one => one['do']), ['open', 'say']);
});

test('a view that is hidden stays hidden when the line comes back', () => {
  const { channel, line, time, listener } = setup();
  const run = channel.follow({ what: 'run', run: 'a' }, listener);
  run.say({ type: 'hello', view: 'v', have: null, buckets: 800 });
  run.say({ type: 'hide' });
  line().end();
  time.pass(1000);
  line().open();
  assert.deepEqual(line().said.at(-1), { do: 'say', sub: 1, message: { type: 'hide' } });
});

test('tries come less and less often, and at once when the page is looked at again', () => {
  const { channel, lines, line, time, listener } = setup();
  channel.follow({ what: 'machine' }, listener);
  for (const wait of WAITS) {
    const before = lines.length;
    line().end();
    time.pass(wait * 0.74);
    assert.equal(lines.length, before, `too early, before ${wait} ms`);
    time.pass(wait * 0.27);
    assert.equal(lines.length, before + 1);
  }
  line().end();
  const before = lines.length;
  channel.wake();
  assert.equal(lines.length, before + 1);
  line().open();
  line().tell({ type: 'ping', sub: 0, now: 1 });
  line().end();
  time.pass(WAITS[0] as number);
  assert.equal(lines.length, before + 2, 'after a success the waits are short again');
});

test('within a second of its being back, a server that was away for long is met when the page is looked at', () => {
  const { channel, lines, line, time, listener } = setup();
  channel.follow({ what: 'machine' }, listener);
  for (let away = 0; away < 600; away++) {
    line().end();
    time.pass(5000);
  }
  const before = lines.length;
  line().end();
  channel.wake();
  assert.equal(lines.length, before + 1);
});

test('pings are answered; a line on which nothing comes is given up', () => {
  const { channel, lines, line, time, links, listener } = setup();
  channel.follow({ what: 'machine' }, listener);
  line().open();
  line().tell({ type: 'ping', sub: 0, now: 1 });
  assert.deepEqual(line().said.at(-1), { do: 'pong' });
  time.pass(SILENCE - 1);
  assert.equal(line().closed, false);
  line().tell({ type: 'ping', sub: 0, now: 2 });
  time.pass(SILENCE - 1);
  assert.equal(line().closed, false);
  const first = line();
  time.pass(1);
  assert.equal(first.closed, true);
  assert.deepEqual(links, ['lost']);
  time.pass(1000);
  assert.equal(lines.length, 2);
});

test('a window that moved has another number: late answers of the old one are not mistaken', () => {
  const { channel, line, listener, heard } = setup();
  const list = channel.follow({ what: 'runs', query: { offset: 0 } }, listener);
  line().open();
  list.move({ what: 'runs', query: { offset: 50 } });
  assert.deepEqual(line().said.slice(1), [
    { do: 'close', sub: 1 },
    { what: 'runs', query: { offset: 50 }, do: 'open', sub: 2 }
  ]);
  line().tell({ type: 'runs', sub: 1, seq: 1 });
  assert.equal(heard.length, 0);
  line().tell({ type: 'runs', sub: 2, seq: 1 });
  assert.equal(heard.length, 1);
});

test('what cannot be followed says so, once, and is not asked for again', () => {
  const { channel, line, time, problems, listener } = setup();
  channel.follow({ what: 'run', run: 'gone' }, listener);
  channel.follow({ what: 'machine' }, listener);
  line().open();
  const error = { kind: 'NotFound', message: 'no such run', hint: null };
  line().tell({ type: 'problem', sub: 1, error, final: true });
  line().tell({ type: 'problem', sub: 2, error, final: false });
  assert.deepEqual(problems, [['no such run', true], ['no such run', false]]);
  line().end();
  time.pass(1000);
  line().open();
  assert.deepEqual(line().said.map(one => one['what']), ['machine']);
});

test('when nobody follows anything the line is given back, and nothing is left behind', () => {
  const { channel, lines, line, time, listener } = setup();
  const one = channel.follow({ what: 'machine' }, listener);
  line().open();
  one.close();
  one.close();
  assert.deepEqual(line().said.filter(said => said['do'] === 'close'), [{ do: 'close', sub: 1 }]);
  time.pass(IDLE - 1);
  assert.equal(line().closed, false);
  time.pass(1);
  assert.equal(line().closed, true);
  assert.equal(time.timers, 0);
  channel.follow({ what: 'machine' }, listener);
  assert.equal(lines.length, 2);
});

test('a sidebar that is shown again soon keeps the line', () => {
  const { channel, lines, line, time, listener } = setup();
  channel.follow({ what: 'machine' }, listener).close();
  time.pass(IDLE / 2);
  channel.follow({ what: 'machine' }, listener);
  time.pass(IDLE);
  assert.equal(line().closed, false);
  assert.equal(lines.length, 1);
});

test('what is no message is nothing', () => {
  assert.equal(part(new ArrayBuffer(3)), null);
  const wrong = message({ sub: 1 });
  new DataView(wrong).setUint32(0, 1e6, true);
  assert.equal(part(wrong), null);
  assert.equal(part(message([]).slice(0, 5)), null);
});
