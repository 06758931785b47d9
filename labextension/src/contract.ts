// Made by `python -m jupyter_mlrun.ui.contract` from jupyter_mlrun/ui/contract.py: change that, and run it again.

/** no view gets more frames */
export const FRAMES_PER_SECOND = 10;
/** what came is cut to about this size: series to buckets, lines to the newest */
export const FRAME_BYTES = 262_144;
/** in a frame: the first by name; `more_series` counts the others */
export const MOST_METRICS = 200;
/** a view that would hold more of a series says hello, and gets buckets */
export const MOST_POINTS = 4096;
/** of the log in a frame */
export const MOST_FRAME_LINES = 500;
/** in an answer to `lines` */
export const MOST_LINES = 2000;
/** characters; of a longer line it is said how many were cut */
export const LONGEST_LINE = 4096;
/** points of a series that are no finite numbers, named one by one */
export const MOST_ODD = 50;
/** of a notebook, named one by one */
export const MOST_CELLS = 1000;
/** of one figure of the system that a view keeps */
export const MOST_SAMPLES = 600;
/** of a saved output's outermost element, beside `<this>-<view>` */
export const STATIC_CLASS = 'jupyter-mlrun-static';

export type Axis = 'step' | 'time';
export type Kind = 'number' | 'text' | 'form' | 'other';
export type Mode = 'append' | 'reset';
export type CellState = 'running' | 'done' | 'failed';

/** At the start, after a gap in `seq`, when shown again: the answer is a frame with `full`. */
export interface Hello {
  type: 'hello';
  view: string;
  /** the last `seq` that was seen */
  have: number | null;
  /** how many a long series may have: about the chart's width in pixels */
  buckets: number;
  /** which of `Run.logs` (default 0) */
  log?: number;
}

/** No frames until the next hello: the tab is hidden, or the output scrolled away. */
export interface Hide {
  type: 'hide';
}

/** The points of one metric between two places of an axis (zoom): the answer is a `Range`, or a `Refusal`. */
export interface AskRange {
  type: 'range';
  /** the answer has the same number */
  ask: number;
  metric: string;
  x: Axis;
  from: number;
  to: number;
  buckets: number;
}

/** Lines by number, from 0, at most MOST_LINES: the answer is a `Lines`, or a `Refusal`. */
export interface AskLines {
  type: 'lines';
  ask: number;
  from: number;
  /** past the last */
  to: number;
}

/** The next line that contains a text, whatever its case: the answer is a `Found`, or a `Refusal`. */
export interface AskSearch {
  type: 'search';
  ask: number;
  text: string;
  /** the first line looked at */
  from: number;
  backward: boolean;
}

/** How many lines contain a text, counted in slices: the answer is a `Counted`, or a `Refusal`. */
export interface AskCount {
  type: 'count';
  ask: number;
  text: string;
  /** the first line looked at */
  from: number;
  /** those up to this line are counted apart, too */
  at: number;
}

/** The newest image of a metric: the answer is an `Image`, or a `Refusal`. */
export interface AskImage {
  type: 'image';
  ask: number;
  metric: string;
}

/** Do something: the answer is a `Done`. */
export interface AskCommand {
  type: 'command';
  ask: number;
  name: 'stop';
}

/** Where a waiting run stands in the queue of its machine. */
export interface Queue {
  /** 2nd of 5 */
  place: string;
  /** the run that is first in its lane */
  first: string;
  /** what the first lacks: runs|slots|cpus|memory|gpus|turn */
  waits_for: string;
  /** the option that would start this run now */
  cure: string | null;
  /** when it is expected to start */
  by: number | null;
}

/** What is known of the run; times are Unix seconds. */
export interface Run {
  id: string;
  /** the name given to it, else its id */
  name: string;
  experiment: string;
  target: string;
  /** the user */
  by: string | null;
  /** the reference's words */
  status: string;
  /** the status for people: NotResponding where it cannot be seen */
  shown: string;
  /** why it ended as it did */
  reason: string | null;
  /** what it waits for */
  waiting: string | null;
  created: number;
  started: number | null;
  ended: number | null;
  over: boolean;
  can_stop: boolean;
  /** what was lost or misused while logging */
  warnings: string[];
  parameters: [string, string][];
  tags: [string, string][];
  inputs: string[];
  /** label, href */
  links: [string, string][];
  /** one per rank */
  logs: string[];
  /** the same as data, where it waits in a queue */
  queue?: Queue | null;
  /** how its first process started: `warm`, or `cold: ` and why */
  start?: string | null;
}

/** A metric that is no series of numbers: rows, tables, images, charts' documents. The newest of each. */
export interface Form {
  /** row|table|list|image|confusion_matrix|accuracy_table|residuals|predictions */
  form: string;
  /** how often it was logged */
  count: number;
  /** rows in all */
  total: number;
  /** of the rows, or of the matrix */
  columns: string[];
  /** that are not sent */
  more_columns: number;
  /** the newest */
  rows: string[][];
  /** column, offset, points: each (row, min, max, last) in the buffer */
  lines: [number, number, number][];
  /** of a confusion matrix: a row per true class */
  matrix: number[][] | null;
  /** name of the image or document among the run's files */
  file: string | null;
  /** why it cannot be shown */
  problem: string | null;
}

/** What came of one metric (`append`), or all of it anew (`reset`), with its numbers in the buffer. Points are in the order of their steps after a `reset`, in the order in which they were logged after an `append`: steps may repeat and go back, so a view sorts by its axis. A value may be NaN or infinite. */
export interface Series {
  name: string;
  /** text and others have no points */
  kind: Kind;
  mode: Mode;
  /** points in all */
  count: number;
  /** of them, those that are NaN or infinite */
  nonfinite: number;
  /** step, time, NaN|Infinity|-Infinity: the newest MOST_ODD since the last frame */
  odd: [number, number, string][];
  /** the last value, for people */
  last: string;
  /** into the buffer, in float64s */
  offset: number;
  /** so many times len(columns) float64s, point after point */
  points: number;
  /** step, time, value; or step, time, min, max, last of buckets */
  columns: string[];
  /** where it has one that changed */
  form?: Form;
}

/** What came of one figure of the system: (time, value) pairs in the buffer. */
export interface Usage {
  /** cpu, memory, processes, disk_read, disk_written, disk_free, gpu<n>, gpu<n>_memory */
  name: string;
  /** % (100 is one core, or a whole GPU), bytes, bytes/s, or nothing for a count */
  unit: string;
  mode: Mode;
  /** the largest value that there can be */
  most: number | null;
  offset: number;
  points: number;
}

/** What the run uses of its machine. */
export interface System {
  cores: number;
  /** bytes */
  memory: number;
  /** name, bytes of memory */
  gpus: [string, number][];
  usage: Usage[];
}

/** How far a notebook run is; cells are counted from 1, text cells included. */
export interface Cells {
  total: number;
  /** cells that are behind */
  done: number;
  current: number | null;
  failed: number | null;
  /** cell 5 of 12 */
  said: string;
  /** name of the exception that ended it */
  error: string | null;
  /** number, state, when it began, seconds */
  changed: ([number, CellState, number, number | null])[];
}

/** The end of the log: `lines` replace everything from line `from` on (its last line may have been unfinished). */
export interface Log {
  from: number;
  lines: string[];
  /** lines so far, an unfinished one included */
  total: number;
  bytes: number;
  /** the last line is unfinished */
  partial: boolean;
  /** what a log over its limit gave back, in words */
  dropped: string | null;
  /** lines before `from` that came and were not sent: ask for them by number */
  skipped: number;
}

/** What changed since the frame before. */
export interface Frame {
  type: 'frame';
  /** rises by 1 per frame of a view */
  seq: number;
  /** nothing that was there before counts: the first frame, and the answer to each hello */
  full: boolean;
  now: number;
  /** why the run cannot be shown (removed, damaged, of a newer format …); what was shown stays */
  problem: string | null;
  /** those that changed */
  series: Series[];
  /** absent where nothing changed */
  run?: Run;
  /** as above */
  log?: Log;
  /** as above */
  system?: System;
  /** as above */
  cells?: Cells;
  /** metrics that are not sent */
  more_series?: number;
}

/** `count` times (x, min, max, last) float64 in the buffer, in the order of x. */
export interface Range {
  type: 'range';
  ask: number;
  metric: string;
  x: Axis;
  count: number;
  nonfinite: number;
  /** every point is there, not buckets */
  exact: boolean;
}

/** The lines asked for: fewer where they are long (ask again from where it ended) or not there. */
export interface Lines {
  type: 'lines';
  ask: number;
  from: number;
  lines: string[];
  total: number;
}

/** Where a text is. */
export interface Found {
  type: 'found';
  ask: number;
  line: number | null;
  total: number;
  /** part: go on from `next` */
  searched: 'all' | 'part';
  next: number | null;
}

/** How many lines of a slice contain a text. */
export interface Counted {
  type: 'counted';
  ask: number;
  count: number;
  /** of them, those up to the line that was asked for */
  before: number;
  total: number;
  /** where the next slice begins; null: that was the last */
  next: number | null;
}

/** A picture: its bytes are the first `size` of the buffer, which is as long as a multiple of 8. */
export interface Image {
  type: 'image';
  ask: number;
  metric: string;
  mime: 'image/png' | 'image/jpeg';
  size: number;
}

/** What became of a command. */
export interface Done {
  type: 'done';
  ask: number;
  error: string | null;
}

/** A question that cannot be answered. */
export interface Refusal {
  type: 'refused';
  ask: number;
  error: string;
}

export type FromView = Hello | Hide | AskRange | AskLines | AskSearch | AskCount | AskImage | AskCommand;

export type FromPython = Frame | Range | Lines | Found | Counted | Image | Done | Refusal;
