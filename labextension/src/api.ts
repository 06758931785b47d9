// Made by `python -m jupyter_mlrun.server.api` from jupyter_mlrun/server/api.py: change that, and run it again.

import type { FromView } from './contract.js';

/** where everything lives, below the server's base URL */
export const PREFIX = 'jupyter-mlrun';
/** runs in one answer, or in one window of the live list */
export const MOST_ROWS = 500;
/** points of a row's curve */
export const MOST_SPARK = 40;
/** files in one answer */
export const MOST_FILES = 5000;
/** runs beside one another */
export const MOST_COMPARED = 100;
/** bytes of a file that is shown, not downloaded */
export const MOST_PREVIEW = 2_000_000;
/** the live channel is silent no longer than this */
export const PING_SECONDS = 15;
/** bytes of a message from the page; a longer one closes the channel */
export const MOST_HEARD = 65_536;

export type Answer = 'BadInput' | 'Forbidden' | 'NotFound' | 'NotAllowed' | 'Conflict' | 'TooLarge' | 'Range' | 'Busy' | 'Store' | 'Agent' | 'Internal';
export type FileKind = 'image' | 'text' | 'json' | 'other' | 'link';
export type Change = 'added' | 'removed' | 'changed';
export type Real = number | 'NaN' | 'Infinity' | '-Infinity';
export type Section = 'run' | 'parameters' | 'metrics' | 'tags' | 'environment' | 'inputs' | 'resources' | 'code' | 'git';

/** What went wrong: a word for programs, words for people, and the cure. */
export interface Problem {
  kind: Answer;
  message: string;
  hint: string | null;
}

/** The body of every answer that is no success. */
export interface Failure {
  error: Problem;
}

/** Who answers. */
export interface About {
  version: string;
  /** the one that is meant where none is named */
  workspace: string;
  workspaces: string[];
  home: string;
  /** of the server's process */
  user: string;
  /** whether this visitor may tag, rename, register, delete */
  can_write: boolean;
  /** whether this visitor may stop and rerun */
  can_execute: boolean;
}

/** The metric that tells best how a run goes, and its curve. */
export interface Primary {
  name: string;
  /** for people, at most 20 characters */
  last: string;
  /** at most MOST_SPARK values, null is a gap; null: not read yet, it follows */
  spark: (number | null)[] | null;
}

/** One line of a list. */
export interface RunRow {
  id: string;
  /** the name given to it, else its id */
  name: string;
  experiment: string;
  /** cell, script, command, notebook or interactive */
  kind: string;
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
  /** the compute */
  target: string;
  /** the user */
  by: string | null;
  tags: Record<string, string>;
  parameters: Record<string, string>;
  primary: Primary | null;
  /** the last values, each of at most 20 characters */
  metrics: Record<string, string>;
  /** such as "cell 3 of 12" */
  progress: string | null;
  /** how much of it is done, where that is known */
  fraction: number | null;
  parent: string | null;
  notebook: string | null;
}

/** How many runs an experiment has, of those that fit the question whatever their experiment. */
export interface ExperimentCount {
  name: string;
  runs: number;
  active: number;
}

/** Which runs, in which order: the query string of ``api/runs``, and ``query`` of the live list. */
export interface RunQuery {
  /** words that must all stand in id, name, experiment, parameters, tags or script */
  text?: string;
  /** one or several, with commas; "active" and "over" are several */
  status?: string;
  experiment?: string;
  /** NAME or NAME=VALUE; several with commas */
  tag?: string;
  compute?: string;
  /** only children of this run */
  parent?: string;
  /** created, name, status, elapsed, experiment or metric:NAME; with "-" before it the largest first */
  sort?: string;
  offset?: number;
  /** at most MOST_ROWS */
  limit?: number;
}

/** A window of the runs that fit. */
export interface RunList {
  runs: RunRow[];
  /** that fit */
  total: number;
  /** by status, of those that fit whatever their status */
  counts: Record<string, number>;
  experiments: ExperimentCount[];
}

/** Which state of a repository the run was submitted from. */
export interface Git {
  commit: string;
  branch: string | null;
  /** something was not committed */
  dirty: boolean;
  /** without user and password */
  remote: string | null;
}

/** One place of a traceback. */
export interface TraceLine {
  file: string;
  line: number;
  function: string;
  /** the source there, where it is known */
  text: string;
  /** the line of the cell; null for other files */
  cell_line: number | null;
  /** the path in the run's snapshot; null for files outside of it */
  code: string | null;
}

/** How a run ended. */
export interface End {
  status: string;
  /** the reason, for programs */
  code: string;
  reason: string;
  /** nobody saw it */
  guess: boolean;
  exit_code: number | null;
  signal: number | null;
  last_lines: string[];
  /** the last line of the traceback */
  error: string | null;
  traceback: TraceLine[];
  /** options that may help when it is run again */
  hints: string[];
}

/** Data that the run got. */
export interface InputInfo {
  name: string;
  /** for people */
  what: string;
  dataset: string | null;
  version: number | null;
  mode: string;
  /** where the run saw it */
  path: string | null;
}

/** A model that came of the run. */
export interface ModelInfo {
  name: string;
  version: number;
}

/** What was asked for, in words. */
export interface ResourceInfo {
  gpus: string;
  cpus: string | null;
  memory: string | null;
  time: string | null;
  procs: number;
  nodes: number;
  priority: number;
}

/** The code that the run got. */
export interface SnapshotInfo {
  id: string;
  files: number;
  bytes: number;
  /** path, why */
  left_out: [string, string][];
}

/** Everything that an overview shows. */
export interface RunFull {
  id: string;
  /** the name given to it, else its id */
  name: string;
  experiment: string;
  /** cell, script, command, notebook or interactive */
  kind: string;
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
  /** the compute */
  target: string;
  /** the user */
  by: string | null;
  tags: Record<string, string>;
  parameters: Record<string, string>;
  primary: Primary | null;
  /** the last values, each of at most 20 characters */
  metrics: Record<string, string>;
  /** such as "cell 3 of 12" */
  progress: string | null;
  /** how much of it is done, where that is known */
  fraction: number | null;
  parent: string | null;
  notebook: string | null;
  description: string | null;
  host: string | null;
  /** notebook, cli or sdk */
  client: string | null;
  queued: number | null;
  /** the server's clock */
  now: number;
  script: string | null;
  command: string[] | null;
  arguments: string[];
  /** the source of the cell */
  cell: string | null;
  properties: Record<string, string>;
  /** label, value */
  environment: [string, string][];
  /** names of the variables that it got; values are never shown */
  variables: string[];
  git: Git | null;
  inputs: InputInfo[];
  resources: ResourceInfo;
  snapshot: SnapshotInfo | null;
  rerun_of: string | null;
  children: number;
  models: ModelInfo[];
  /** one per rank */
  logs: string[];
  warnings: string[];
  /** warm, or cold and why */
  start: string;
  end: End | null;
  /** where it lies, to copy */
  folder: string;
  workspace: string;
}

/** A metric that a run has. */
export interface MetricInfo {
  name: string;
  kind: 'number' | 'text' | 'other';
  count: number;
  last: string;
}

/** ``metrics`` without a name. */
export interface MetricList {
  metrics: MetricInfo[];
  /** metrics that are not listed */
  more: number;
}

/** ``metrics?name=``: points, or buckets of them with the value of their last point, in the order of x. */
export interface Columns {
  name: string;
  axis: 'step' | 'time';
  /** each is one point */
  exact: boolean;
  count: number;
  x: number[];
  min: Real[];
  max: Real[];
  last: Real[];
}

/** ``lines?log=0&from=&to=``: fewer where they are long (ask again from where it ended) or not there. */
export interface LineWindow {
  from: number;
  lines: string[];
  total: number;
  /** the last line of the log is unfinished */
  partial: boolean;
}

/** ``search?log=0&text=&from=&backward=``. */
export interface LineFound {
  line: number | null;
  total: number;
  /** not all was looked at: go on from here */
  next: number | null;
}

/** A file of a run, or of its snapshot. */
export interface FileInfo {
  path: string;
  size: number;
  mtime: number | null;
  kind: FileKind;
}

/** ``files`` or ``code``: in the order of their paths. */
export interface FileList {
  files: FileInfo[];
  /** the first MOST_FILES are listed */
  total: number;
  snapshot: string | null;
}

/** How a file of one run differs from that of another. */
export interface FileDiff {
  path: string;
  status: Change;
  /** unified; empty where it is no text, or too long */
  diff: string;
  /** why there is no diff */
  why: string | null;
}

/** A value that differs; null where there is none. */
export interface ParameterDiff {
  name: string;
  a: string | null;
  b: string | null;
}

/** ``api/diff?a=RUN&b=RUN``: from a to b. */
export interface Diff {
  a: string;
  b: string;
  files: FileDiff[];
  /** files that are equal */
  same: number;
  parameters: ParameterDiff[];
  environment: ParameterDiff[];
}

/** One figure over time. */
export interface SystemSeries {
  /** cpu, memory, processes, disk_read, disk_written, disk_free, gpu<n>, gpu<n>_memory */
  name: string;
  /** "%" (100 is one core, or a whole GPU), "bytes", "bytes/s", or "" for a count */
  unit: string;
  times: number[];
  values: number[];
}

/** ``system``: what it used of the machine. */
export interface SystemInfo {
  /** label, value */
  facts: [string, string][];
  series: SystemSeries[];
}

/** ``children``: newest first. */
export interface Children {
  runs: RunRow[];
  total: number;
}

/** One line of the table: a value per run, null where it has none. */
export interface CompareRow {
  section: Section;
  name: string;
  values: (string | null)[];
  differs: boolean;
}

/** Runs beside one another. */
export interface Comparison {
  runs: RunRow[];
  rows: CompareRow[];
  /** that at least two of them have: curves to lay over one another */
  metrics: string[];
}

/** One GPU of this machine. */
export interface GpuInfo {
  index: number;
  name: string;
  memory: number;
  used: number | null;
  /** 0 to 1 */
  utilization: number | null;
  /** the run that holds it */
  run: string | null;
  /** who else uses it, in words */
  others: string | null;
}

/** The processors that this server may use. */
export interface CpuInfo {
  cores: number;
  /** 0 to 1, since the last look */
  used: number | null;
  /** the machine's, of the last minute */
  load: number | null;
}

/** Memory, or the disk that the home is on. */
export interface SpaceInfo {
  total: number;
  used: number;
}

/** A run that goes on. */
export interface QueueRun {
  id: string;
  name: string;
}

/** A run that waits. */
export interface QueueWait {
  id: string;
  name: string;
  why: string;
  position: number;
}

/** What a compute does. */
export interface Queue {
  compute: string;
  slots: number;
  running: QueueRun[];
  waiting: QueueWait[];
}

/** This machine, and the queue of each compute. */
export interface Machine {
  gpus: GpuInfo[];
  cpu: CpuInfo;
  memory: SpaceInfo;
  disk: SpaceInfo;
  queues: Queue[];
  /** whether the agent runs; it is started when it is needed */
  agent: boolean;
}

/** An option of ``%%submit``. */
export interface FormOption {
  name: string;
  flags: string[];
  /** null: a switch */
  metavar: string | null;
  help: string;
  repeat: boolean;
}

/** Something with a name that an option takes. */
export interface Named {
  name: string;
  about: string;
}

/** What can be chosen. */
export interface SubmitForm {
  computes: Named[];
  environments: Named[];
  datasets: Named[];
  experiments: string[];
  options: FormOption[];
  /** names that the cell (``?cell=``) sets to plain values at its top, and these */
  parameters: [string, string][];
}

/** ``POST api/runs/RUN/rerun``: what is to be other than it was. */
export interface RerunBody {
  name?: string;
  gpus?: string;
  cpus?: number;
  memory?: string;
  time?: string;
  priority?: number;
  parameters?: Record<string, string>;
  tags?: Record<string, string>;
}

/** ``POST api/runs/RUN/tag``. */
export interface TagBody {
  set?: Record<string, string>;
  remove?: string[];
}

/** ``POST api/runs/RUN/rename``. */
export interface RenameBody {
  name?: string;
  description?: string;
}

/** ``POST api/runs/RUN/register``: answered by a ``ModelInfo``. */
export interface RegisterBody {
  name: string;
  /** as ``files`` names it; default: the name */
  path?: string;
  description?: string;
  tags?: Record<string, string>;
}

/** ``POST api/runs/stop``, ``POST api/runs/delete``. */
export interface ManyBody {
  runs: string[];
}

/** What became of one run of several. */
export interface OneDone {
  id: string;
  error: Problem | null;
}

/** Answers ``ManyBody``. */
export interface ManyDone {
  runs: OneDone[];
}

/** Answers stop, rerun (the id is the new run's), tag, rename and delete. */
export interface RunDone {
  id: string;
}

/** Follow a list; the same number again with another query moves the window. ``RunsUpdate`` comes. */
export interface OpenRuns {
  do: 'open';
  sub: number;
  what: 'runs';
  query: RunQuery;
  workspace?: string;
}

/** Follow a run; then ``Say`` a ``Hello``. The messages of ``contract.ts`` come, each with its ``sub``. */
export interface OpenRun {
  do: 'open';
  sub: number;
  what: 'run';
  run: string;
  workspace?: string;
}

/** Follow this machine; a ``MachineUpdate`` comes when something moved. */
export interface OpenMachine {
  do: 'open';
  sub: number;
  what: 'machine';
  workspace?: string;
}

/** Follow it no more. */
export interface Close {
  do: 'close';
  sub: number;
}

/** A message of a run's view. */
export interface Say {
  do: 'say';
  sub: number;
  message: FromView;
}

/** Answers ``Ping``. */
export interface Pong {
  do: 'pong';
}

/** What changed in a list's window. */
export interface RunsUpdate {
  type: 'runs';
  sub: number;
  seq: number;
  /** nothing that was there before counts */
  full: boolean;
  /** the ids of the window in their order; null: as it was */
  order: string[] | null;
  /** those that changed */
  rows: RunRow[];
  /** ids that are no longer in the window */
  gone: string[];
  total: number;
  counts: Record<string, number>;
  experiments: ExperimentCount[];
}

/** The machine now. */
export interface MachineUpdate {
  gpus: GpuInfo[];
  cpu: CpuInfo;
  memory: SpaceInfo;
  disk: SpaceInfo;
  queues: Queue[];
  /** whether the agent runs; it is started when it is needed */
  agent: boolean;
  type: 'machine';
  sub: number;
  seq: number;
}

/** A subscription that cannot be served; it is closed where ``final``, else it goes on by itself. */
export interface SubProblem {
  type: 'problem';
  sub: number;
  error: Problem;
  final: boolean;
}

/** Nothing new, and the server is there: a page that hears nothing for 3 of these connects again. */
export interface Ping {
  type: 'ping';
  sub: 0;
  now: number;
}

export type FromPage = OpenRuns | OpenRun | OpenMachine | Close | Say | Pong;

export type FromServer = RunsUpdate | MachineUpdate | SubProblem | Ping;
