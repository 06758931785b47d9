// What an output of our MIME type carries, read with care: a notebook comes from anywhere.  No DOM.

export const MIME = 'application/vnd.jupyter-mlrun.run+json';
/** What is newer is shown by its text alone. */
export const FORMAT = 1;

const MOST = { metrics: 50, points: 500, pairs: 200, lines: 500, word: 1000, line: 4000 };

export interface SavedMetric {
  name: string;
  last: string;
  count: number;
  /** null: no number that can be drawn */
  points: (number | null)[];
}

/** How a run was when the notebook was saved. */
export interface Static {
  status: string;
  over: boolean;
  reason: string;
  title: string;
  experiment: string;
  target: string;
  elapsed: number | null;
  parameters: [string, string][];
  tags: [string, string][];
  warnings: string[];
  metrics: SavedMetric[];
  /** metrics that are not saved */
  more: number;
  log: string[];
  /** Unix seconds; null where it is not said */
  saved: number | null;
}

export interface Output {
  run: string;
  /** empty: the server's own */
  workspace: string;
  /** `view`: stands beside the saved part, and is drawn where nothing else is */
  part: 'view' | 'saved';
  /** the widget beside it; empty where there is none */
  view: string;
  static: Static | null;
}

type Loose = Record<string, unknown>;

/** An output's data, or null for what is none of ours, or newer than we are. */
export function read(value: unknown): Output | null {
  const data = loose(value);
  const run = typeof data['run'] === 'string' ? data['run'] : '';
  // it becomes part of addresses
  if (data['format'] !== FORMAT || !/^[\w.-]{1,200}$/.test(run)) {
    return null;
  }
  const named = (key: string): string => {
    const text = data[key];
    return typeof text === 'string' && /^[\w-]{1,255}$/.test(text) ? text : '';
  };
  const part = data['part'] === 'view' ? 'view' : 'saved';
  const shape = loose(data['static']);
  const there = part === 'saved' && word(shape['status']) !== '';
  return { run, workspace: named('workspace'), part, view: named('view'), static: there ? readStatic(shape) : null };
}

/** Whether what the server knows now must be written into the output: it ended, and the output does not say so. */
export function stale(kept: Output | null): boolean {
  return kept !== null && kept.part === 'saved' && !kept.static?.over;
}

function readStatic(data: Loose): Static {
  return {
    status: word(data['status']),
    over: data['over'] === true,
    reason: word(data['reason']),
    title: word(data['title']),
    experiment: word(data['experiment']),
    target: word(data['target']),
    elapsed: finite(data['elapsed']),
    parameters: pairs(data['parameters']),
    tags: pairs(data['tags']),
    warnings: list(data['warnings'], 20).map(word),
    metrics: list(data['metrics'], MOST.metrics).map(metric),
    more: Math.max(0, Math.round(finite(data['more']) ?? 0)),
    log: list(data['log'], MOST.lines).map(line => cut(line, MOST.line)),
    saved: finite(data['saved'])
  };
}

function metric(value: unknown): SavedMetric {
  const data = loose(value);
  return {
    name: word(data['name']),
    last: word(data['last']),
    count: Math.max(0, Math.round(finite(data['count']) ?? 0)),
    points: list(data['points'], MOST.points).map(finite)
  };
}

function pairs(value: unknown): [string, string][] {
  return list(value, MOST.pairs).map(pair => {
    const [key, text] = list(pair, 2);
    return [word(key), word(text)];
  });
}

function loose(value: unknown): Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {};
}

function list(value: unknown, most: number): unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

function finite(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

const word = (value: unknown): string => cut(value, MOST.word);

function cut(value: unknown, most: number): string {
  const text = typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
  return text.length > most ? `${text.slice(0, most)} …` : text;
}
