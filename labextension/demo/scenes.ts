// The states in which the view is tested and pictured.

import type { Cells, Form } from '../src/contract.js';
import type { Feed, Made, Used } from './feed.js';

const START = 1_790_000_002;

// a generator with a seed: pictures of today and tomorrow are of the same run
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296 - 0.5;
  };
}

export function metric(name: string, count: number, value: (part: number, noise: number, i: number) => number, seed = 7): Made {
  const random = noise(seed);
  const points = Array.from({ length: count }, (_, i): [number, number, number] => [i, START + i * (187 / count), value(i / count, random(), i)]);
  const last = points.at(-1)?.[2] ?? 0;
  return { name, kind: 'number', last: Number.isInteger(last) ? String(last) : last.toPrecision(5), points };
}

const one = (name: string, value: string, kind: Made['kind'] = 'number'): Made => ({
  name,
  kind,
  last: value,
  points: kind === 'number' ? [[0, START + 1, Number(value)]] : []
});

function training(): Made[] {
  return [
    metric('loss', 1200, (p, n) => 2.2 * Math.exp(-4 * p) + 0.06 + n * 0.22 * (1.1 - p)),
    metric('accuracy', 1200, (p, n) => 1 - 0.9 * Math.exp(-5 * p) + n * 0.04, 11),
    metric('learning rate', 1200, p => 0.0005 * (1 + Math.cos(Math.PI * p)), 3),
    metric('val/loss', 24, (p, n) => 1.9 * Math.exp(-3.4 * p) + 0.16 + n * 0.06, 5)
  ];
}

const GREEN = '\u001b[32m';
const OFF = '\u001b[0m';

function training_log(n: number): string {
  if (n % 12 === 0) {
    return `\u001b[1;36mEpoch ${n / 12 + 1}${OFF}  lr \u001b[33m0.00${(90 - n / 12).toFixed(0)}${OFF}`;
  }
  if (n % 12 === 11) {
    return `  ${GREEN}✓${OFF} validated: loss \u001b[1m${(1.9 * Math.exp(-n / 90)).toFixed(4)}${OFF}, accuracy \u001b[1m${(1 - 0.9 * Math.exp(-n / 80)).toFixed(3)}${OFF}`;
  }
  return `  step ${String(n * 4).padStart(4)}/1200  loss ${(2.2 * Math.exp(-n / 75) + 0.06).toFixed(5)}  \u001b[2m${(38 + (n % 7)).toFixed(0)} ms/step${OFF}`;
}

const TRACEBACK = `Traceback (most recent call last):
  File \u001b[35m"/tmp/run/cell.py"\u001b[0m, line \u001b[35m14\u001b[0m, in \u001b[35m<module>\u001b[0m
    \u001b[31mtrain\u001b[0m\u001b[1;31m(model, lr=lr)\u001b[0m
  File \u001b[35m"/tmp/run/cell.py"\u001b[0m, line \u001b[35m9\u001b[0m, in \u001b[35mtrain\u001b[0m
    raise ValueError("loss is not a number")
\u001b[1;35mValueError\u001b[0m: \u001b[35mloss is not a number\u001b[0m`.split('\n');

const table = (columns: string[], rows: string[][], form = 'row'): Form => ({
  form, columns, rows, count: rows.length, total: rows.length, more_columns: 0, lines: [], matrix: null, file: null, problem: null
});

const formed = (name: string, form: Form): Made => ({ name, kind: 'form', last: '', points: [], form });

function used(): Used {
  const values = (seed: number, of: (part: number, noise: number) => number): number[] => {
    const random = noise(seed);
    return Array.from({ length: 94 }, (_, i) => of(i / 94, random()));
  };
  return {
    cores: 8,
    memory: 32e9,
    gpus: [['NVIDIA A100-SXM4-80GB', 80e9]],
    figures: [
      ['cpu', '%', 800, values(1, (p, n) => (p < 0.1 ? 90 : 310 + n * 120))],
      ['memory', 'bytes', 32e9, values(2, p => 1e9 + 6e9 * Math.min(1, p * 3))],
      ['processes', '', null, values(3, p => (p < 0.1 ? 1 : 5))],
      ['disk_read', 'bytes/s', null, values(4, (p, n) => (p < 0.3 ? 80e6 + n * 6e7 : 2e6))],
      ['disk_written', 'bytes/s', null, values(5, (_, n) => (n > 0.45 ? 50e6 : 1e5))],
      ['disk_free', 'bytes', null, values(6, p => 410e9 - 9e9 * p)],
      ['gpu0', '%', 100, values(7, (p, n) => (p < 0.1 ? 0 : 88 + n * 20))],
      ['gpu0_memory', 'bytes', 80e9, values(8, p => (p < 0.1 ? 4e8 : 43e9))]
    ]
  };
}

const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAKAAAABkCAMAAAA2aMu9AAAAG1BMVEUUPMgtTrxGYLBfcqR4hJiRloyqqIDDunTczGiNA4UNAAACiUlEQVR42u2ZUZICIQxEAwG8/413da2RhCTA6I6MJp8WXa9DqUAayrUubd0+z7+V2rp+nC1h7gktIBVCHjaIuM8gCsJxIGggzkFkIEOnCvOIsNahapBz8F5dkMzBbmcaEGSBtrx2WEwh16HdmQoEUVAoBxEHHTJOK1QcFrUxkEiWv5qk60QhczgGhEpQqsU6pnWoCA2dBFQ2BIjgUdxfvJdCEoRIhJXFOSDcBdnExKpMhwwT54UcCJsg08Uapibx1jpC5lAUNjqoSKQ2TGyLkxohxQStNRlIiSCT+Oqw1YMkOlSFvdbYhmw6oKeDjAmkDFLSMEJrg0DgJyU9o1p7rcPU2pP6qoUTQIjkFpCqqwTFwK0qkqFrhUprA0CQBRwDW3Ucsm0AJlQd6kBRwJYDKepwXGg5RNpYLZNIxnLTIZqNcYeDQHYOsTNK8qeCsNMY7wyHGuMnZeOv5TQgHGus6YzotMYiA+GMwUqI2N1AubMekHCqMjZCMMiEwwYl4Jl3cNnvoP2jWuBXzP84V/sf3HEgHHqS/M9ZHF92Fs9cLsI/32ZQuM0seB8kwjPcqKeeCMe/Sejq0ntkaZhivOqi8arrAmHymXr8u/iwyQLunSysPptZfrp1hvngzMDzHRPW1WfUy0/5T5GTLJ80eVZ3VFaHH5LVZc/qPKvzrO7QrC7tuFGjZ3U7sroQDs7qbsDvzurCIlld8qzuifkgelbnWZ1ndZ7VHZTVJc/qPKvzrO65rC4MnMV4qqwu/Olen9Wl6ftg9qzuBFld2Z3VFc/qPKubGzaJ063L4FjMs7ozZnUXz+o8qztBVodLZXXlo7O6/F1ZXfaszrM6UfgdWV32rE4Avi2rC09ldT9STugToiefCgAAAABJRU5ErkJggg==';

export const SCENES: Record<string, (feed: Feed) => void> = {
  running(feed) {
    feed.metrics = training();
    feed.total = 300;
    feed.line = training_log;
    feed.used = used();
    feed.run.start = 'warm';
  },
  forms(feed) {
    SCENES['completed']?.(feed);
    const epochs = Array.from({ length: 40 }, (_, i) => [String(i + 1), (2 * Math.exp(-i / 9)).toFixed(4), (1 - 0.9 * Math.exp(-i / 7)).toFixed(3), i % 9 === 8 ? 'saved' : '']);
    feed.metrics = [
      ...training().slice(0, 1),
      formed('epochs', { ...table(['epoch', 'loss', 'accuracy', 'checkpoint'], epochs), total: 140 }),
      formed('classes', table(['class', 'precision', 'recall', 'support'], [['ant', '0.93', '0.91', '70'], ['bee', '0.92', '0.95', '83']], 'table')),
      formed('confusion', { ...table(['ant', 'bee', 'wasp', 'a very long name of a class'], [], 'confusion_matrix'), count: 1, file: 'confusion_1790000187.json',
        matrix: [[64, 4, 2, 0], [3, 79, 1, 0], [9, 11, 31, 2], [0, 0, 0, 12]] }),
      formed('samples', { ...table([], [], 'image'), count: 3, file: 'samples_1790000186.png' }),
      formed('errors', { ...table([], [], 'residuals'), count: 1, file: 'errors_1790000187.json' })
    ];
    feed.picture = PICTURE;
  },
  notebook(feed) {
    SCENES['running']?.(feed);
    const changed = [[2, 'done', 0, 0.31], [3, 'done', 0, 1.9], [5, 'done', 0, 92], [6, 'running', START + 94, null]] as Cells['changed'];
    feed.cells = { total: 12, done: 5, current: 6, failed: null, said: 'cell 6 of 12', error: null, changed };
  },
  notebook_failed(feed) {
    SCENES['failed']?.(feed);
    const changed = Array.from({ length: 211 }, (_, i) => [i + 1, i < 210 ? 'done' : 'failed', 0, 0.2 + (i % 7)]) as Cells['changed'];
    feed.cells = { total: 300, done: 210, current: null, failed: 211, said: 'cell 211 of 300', error: 'ValueError', changed };
  },
  waiting(feed) {
    SCENES['queued']?.(feed);
    feed.run.waiting = '1 ahead of it in the queue; the first is waiting for 1 GPU: 0 free (mnist_1700000000_0badc0de has 1); --gpus 0 would start it now; expected to start by 14:05';
    feed.run.queue = { place: '2nd of 5', first: 'mnist_1', waits_for: 'gpus', cure: '--gpus 0', by: START + 900 };
  },
  queued(feed) {
    Object.assign(feed.run, { status: 'Queued', shown: 'Queued', started: null, waiting: 'Waits for one of 2 places on “local”: 2 runs are active, 1 waits before this one.' });
  },
  starting(feed) {
    Object.assign(feed.run, { status: 'Starting', shown: 'Starting' });
  },
  completed(feed) {
    SCENES['running']?.(feed);
    feed.metrics.push(one('best epoch', '21'), one('test accuracy', '0.9412'), one('checkpoint', 'outputs/model_21.pt', 'text'));
    Object.assign(feed.run, { status: 'Completed', shown: 'Completed', over: true, can_stop: false, ended: 1_790_000_187 });
  },
  failed(feed) {
    feed.metrics = training().slice(0, 2);
    feed.metrics[0]?.points.push(...Array.from({ length: 12 }, (_, i): [number, number, number] => [1200 + i, START + 187, NaN]));
    (feed.metrics[0] as Made).last = 'NaN';
    feed.total = 120 + TRACEBACK.length;
    feed.line = n => (n < 120 ? training_log(n) : (TRACEBACK[n - 120] ?? ''));
    Object.assign(feed.run, {
      status: 'Failed', shown: 'Failed', over: true, can_stop: false, ended: 1_790_000_190,
      reason: 'ValueError: loss is not a number (line 9 of the cell). The log has the traceback.'
    });
  },
  empty(feed) {
    Object.assign(feed.run, { status: 'Completed', shown: 'Completed', over: true, can_stop: false, ended: 1_790_000_003, parameters: [], tags: [], inputs: [], links: [] });
  },
  lines(feed) {
    feed.metrics = training().slice(0, 1);
    feed.total = 1_000_000;
    feed.line = n => (n === 123_456 ? 'the needle in the hay' : `${String(n).padStart(7)} ${training_log(n % 300)}`);
  },
  metrics(feed) {
    feed.metrics = Array.from({ length: 40 }, (_, i) =>
      metric(`layer${String(i).padStart(2, '0')}/grad_norm`, 300, (p, n) => (1 + i / 9) * Math.exp(-3 * p) + 0.1 + n * 0.2, i + 2)
    );
    feed.total = 40;
    feed.line = training_log;
  },
  hostile(feed) {
    const evil = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';
    Object.assign(feed.run, {
      title: evil, name: evil, experiment: evil, target: '"><svg onload=window.owned=1>', by: evil, waiting: evil,
      parameters: [[evil, evil], ['__proto__', 'x']], tags: [[evil, evil]], inputs: [evil], warnings: [evil],
      links: [['click', 'javascript:window.owned=1'], [evil, 'data:text/html,x'], ['web', 'https://example.org/"onmouseover="x']],
      shown: evil, logs: [evil, 'b']
    });
    feed.metrics = [
      metric(evil, 50, p => p), metric('__proto__', 50, (p, n) => (n > 0 ? Infinity : 1e308 * (p - 0.5) * 2)), one('text', evil, 'text'),
      metric('constructor', 60, (_, __, i) => (i % 3 ? NaN : i)), metric('tiny', 50, (_, __, i) => 5e-324 * i), metric('flat', 50, () => 3),
      metric('nan', 5, () => NaN)
    ];
    feed.metrics.push(
      formed(`${evil} table`, { ...table([evil, evil], [[evil, '1'], [evil, '2']]), more_columns: 1, problem: evil }),
      formed(`${evil} matrix`, { ...table([evil], [], 'confusion_matrix'), count: 1, matrix: [[1]], file: evil }),
      formed(`${evil} image`, { ...table([], [], 'image'), count: 1, file: evil }),
      formed(`${evil} other`, { ...table([], [], evil), count: 2, file: evil })
    );
    feed.picture = btoa('<svg onload=window.owned=1>');
    feed.used = { cores: 1, memory: 1, gpus: [[evil, 1]], figures: [[evil, evil, null, [1, 2]], ['__proto__', '', null, [1]], ['cpu', '%', null, [NaN]]] };
    feed.cells = { total: 3, done: 1, current: null, failed: 2, said: evil, error: evil, changed: [[2, 'failed', 0, 1]] };
    feed.run.queue = { place: evil, first: evil, waits_for: evil, cure: evil, by: null };
    feed.run.start = evil;
    feed.total = 6;
    feed.dropped = evil;
    feed.line = n => [evil, `\u001b[31m${evil}`, '\u001b]8;;javascript:window.owned=1\u0007click\u001b]8;;\u0007', '\u202eevil\u0000', 'x'.repeat(5000), '10%\r100%'][n] ?? '';
  },
  long(feed) {
    feed.metrics = [metric('loss', 50_000, (p, n, i) => (i === 31_000 ? 9 : 3 * Math.exp(-4 * p) + 0.3 + n * 0.5)), metric('steps back', 300, (_, n) => n + 1)];
    feed.metrics[1]?.points.forEach((point, i) => (point[0] = i % 100));
    feed.total = 12;
    feed.line = n => `${n} ${'a long line of the log, which is wrapped or scrolled; '.repeat(n % 4 ? 1 : 9)}`;
  }
};
