// What can be done to a run from its page: run again, register a model, rename, delete.

import type { FileList, ModelInfo, RerunBody, RunDone, RunFull } from '../api.js';
import { t } from '../view/words.js';
import { ask, type Field } from './dialog.js';
import { runPath, type Server } from './server.js';

/** Where actions happen: the page's root, and who hears what came of them. */
export interface Stage {
  root: HTMLElement;
  server: Server;
  signal: AbortSignal;
  /** a sentence for people, with a run that it is about */
  tell(text: string, run?: string): void;
  /** look at the run again */
  changed(): void;
  /** the run is about to be deleted; false: it stays after all */
  leaving?(now: boolean): void;
  /** the run was deleted */
  gone(): void;
}

const RESOURCES = ['gpus', 'cpus', 'memory', 'time'] as const;

/** Ask what is to be other than it was, and run it again. */
export function rerun(stage: Stage, run: RunFull, hint = ''): void {
  const offered = bodyOf(hint);
  const { gpus, cpus, memory, time } = run.resources;
  const were = { gpus, cpus: cpus ?? '', memory: compact(memory), time: '' };
  const labels = { gpus: t('GPUs'), cpus: t('CPU cores'), memory: t('Memory'), time: t('Time limit') };
  const hints = { memory: t('such as 16GB'), time: time ? t('it was {time}; such as 90m or 2h', { time }) : t('such as 90m or 2h') };
  const fields: Field[] = [
    { name: 'name', label: t('Name'), value: run.name === run.id ? '' : run.name },
    ...(run.kind === 'script' || run.kind === 'notebook' ? Object.entries(run.parameters) : []).map(
      ([name, value]): Field => ({ name: `p:${name}`, label: name, value, group: t('Parameters') })
    ),
    ...RESOURCES.map((name): Field => ({
      name,
      label: labels[name],
      value: String(offered[name] ?? were[name]),
      group: t('Resources'),
      ...(Object.hasOwn(hints, name) ? { hint: hints[name as keyof typeof hints] } : {})
    }))
  ];
  ask(stage.root, {
    title: t('Rerun this run'),
    text: t('The same code, environment and inputs; what you change here is other than it was.'),
    fields,
    yes: t('Rerun'),
    work: async values => {
      const body = changedOf(values, fields, were);
      const done = await stage.server.ask<RunDone>('POST', runPath(run.id, 'rerun'), {}, body);
      stage.tell(t('It runs again as'), done.id);
    }
  }, stage.signal);
}

/** What was changed, as the server takes it: what stayed is not told. */
export function changedOf(
  values: Record<string, string>,
  fields: readonly Field[],
  were: Record<(typeof RESOURCES)[number], string>
): RerunBody {
  const body: RerunBody = {};
  for (const { name, value } of fields) {
    const given = (values[name] ?? '').trim();
    if (name.startsWith('p:')) {
      if (values[name] !== value) {
        (body.parameters ??= {})[name.slice(2)] = values[name] ?? '';
      }
    } else if (name === 'name') {
      if (given && given !== value) {
        body.name = given;
      }
    } else if (given && given !== were[name as 'gpus']) {
      Object.assign(body, { [name]: name === 'cpus' ? Number(given) : given });
    }
  }
  return body;
}

/** `--memory 16GB` as a change; empty for what is not known here. */
export function bodyOf(hint: string): Partial<Record<(typeof RESOURCES)[number], string>> {
  const found = /^--(gpus|cpus|memory|time)[ =](\S+)$/.exec(hint.trim());
  return found ? { [found[1] as string]: found[2] as string } : {};
}

function compact(size: string | null): string {
  return size?.replace(/\s/g, '') ?? '';
}

/** Ask which of its files is a model, and register it. */
export async function register(stage: Stage, run: RunFull): Promise<void> {
  const { files } = await stage.server.ask<FileList>('GET', runPath(run.id, 'files'));
  const tops = new Set(files.map(({ path }) => path).filter(path => path.includes('/')).map(path => path.split('/').slice(0, 2).join('/')));
  const folders = new Set(files.map(({ path }) => path.split('/').slice(0, -1).join('/')).filter(Boolean));
  const paths = [...new Set([...tops, ...files.map(({ path }) => path), ...folders])].sort();
  if (!paths.length) {
    stage.tell(t('This run has no files that could be a model.'));
    return;
  }
  const model = paths.find(path => /model|\.(pt|pth|onnx|pkl|joblib|safetensors|h5|keras)$/i.test(path)) ?? (paths[0] as string);
  ask(stage.root, {
    title: t('Register a model'),
    text: t('A copy is kept under this name, with a version of its own, even when the run is deleted.'),
    fields: [
      { name: 'name', label: t('Name of the model'), value: '', required: true },
      { name: 'path', label: t('File or folder'), value: model, choices: paths.slice(0, 500).map(path => [path, path]) },
      { name: 'description', label: t('Description'), value: '' }
    ],
    yes: t('Register'),
    work: async ({ name = '', path = '', description = '' }) => {
      const body = { name: name.trim(), path, ...(description.trim() ? { description: description.trim() } : {}) };
      const made = await stage.server.ask<ModelInfo>('POST', runPath(run.id, 'register'), {}, body);
      stage.tell(t('Registered as {name}, version {version}.', { name: made.name, version: made.version }));
      stage.changed();
    }
  }, stage.signal);
}

export function rename(stage: Stage, run: RunFull): void {
  const name = run.name === run.id ? '' : run.name;
  ask(stage.root, {
    title: t('Name and description'),
    fields: [
      { name: 'name', label: t('Name'), value: name },
      { name: 'description', label: t('Description'), value: run.description ?? '' }
    ],
    yes: t('Save'),
    work: async values => {
      const body = {
        ...(values['name'] && values['name'] !== name ? { name: values['name'] } : {}),
        ...(values['description'] !== (run.description ?? '') ? { description: values['description'] } : {})
      };
      if (Object.keys(body).length) {
        await stage.server.ask('POST', runPath(run.id, 'rename'), {}, body);
        stage.changed();
      }
    }
  }, stage.signal);
}

export function remove(stage: Stage, run: RunFull): void {
  const kept = run.models.length ? t('Models that were registered from it stay.') : '';
  ask(stage.root, {
    title: t('Delete this run?'),
    text: `${t('“{name}” and all that it wrote is deleted: log, metrics and files.', { name: run.name })} ${kept}`.trim(),
    yes: t('Delete'),
    danger: true,
    work: async () => {
      stage.leaving?.(true);
      try {
        await stage.server.ask('DELETE', runPath(run.id));
      } catch (error) {
        stage.leaving?.(false);
        throw error;
      }
      stage.gone();
    }
  }, stage.signal);
}
