// The sidebar "Runs": filter, list, what can be done to those that are picked, and this machine below.

import { Widget } from '@lumino/widgets';
import type { RunList as Runs, RunQuery, RunRow } from '../api.js';
import type { HttpServer } from '../source/http.js';
import { COMMANDS } from '../tokens.js';
import { button, h, icon, on, put, say, show } from '../view/dom.js';
import { plural, spoken, t, whole } from '../view/words.js';
import { dialogHost } from './actions.js';
import { CHIPS, chipCounts, queryOf, type Chip } from './filter.js';
import { runsIcon } from './icons.js';
import { RunList } from './list.js';
import { RunLists } from './lists.js';
import { MachineView } from './machine.js';

/** Milliseconds after a key before the server is asked. */
const TYPING = 200;

/** What the panel needs of JupyterLab. */
export interface PanelHost {
  server: HttpServer;
  execute(command: string, args?: Record<string, unknown>): void;
  /** the menu of a run, at the pointer or below a line */
  runMenu(at: { x: number; y: number }): void;
  sortMenu(at: DOMRect, closed: () => void): void;
  filterMenu(at: DOMRect, closed: () => void): void;
  /** kept over reloads */
  keep(state: Kept): void;
}

export interface Kept {
  sort: string;
  grouped: boolean;
  machine: boolean;
}

export class RunsPanel extends Widget {
  readonly lists: RunLists;
  private readonly end = new AbortController();
  private readonly list: RunList;
  private readonly machine: MachineView;
  private readonly box = h('input', { type: 'search', class: 'field', placeholder: t('Filter runs'), autocomplete: 'off', spellcheck: 'false' });
  private readonly chips = new Map<Chip, { element: HTMLButtonElement; count: HTMLElement }>();
  private readonly chosen = new Set<Chip>();
  private readonly notice = h('div', { class: 'mlr-notice', role: 'status' });
  private readonly state = h('div', { class: 'mlr-state' });
  private readonly selection = h('div', { class: 'mlr-selection', role: 'toolbar' });
  private readonly count = h('span', { class: 'count' });
  private readonly root = h('div', { class: 'mlr-live mlr-panel' });
  private readonly dialogs = new MutationObserver(() => this.back());
  private typing: ReturnType<typeof setTimeout> | undefined;
  private kept: Kept = { sort: '-created', grouped: true, machine: true };
  private shownState = '';

  constructor(private readonly host: PanelHost) {
    super();
    const { signal } = this.end;
    this.id = 'jupyter-mlrun-runs';
    this.addClass('jp-mlrun-runs');
    this.title.icon = runsIcon;
    this.title.caption = t('Runs');
    this.lists = new RunLists(host.server, () => this.changed());
    this.list = new RunList(this.lists, {
      open: run => host.execute(COMMANDS.open, { run: run.id, name: run.name }),
      menu: (event, box) => host.runMenu(event ? { x: event.clientX, y: event.clientY } : { x: box.left + 24, y: box.bottom }),
      rename: () => host.execute(COMMANDS.rename),
      remove: () => host.execute(COMMANDS.delete),
      fetch: query => this.fetch(query),
      picked: () => this.picked(),
      left: () => this.box.focus()
    }, signal);
    const open = (run: string): void => host.execute(COMMANDS.open, { run });
    this.machine = new MachineView(host.server, open, machine => this.keep({ machine }), signal);
    this.assemble(signal);
    document.addEventListener('visibilitychange', () => this.look(), { signal });
    this.dialogs.observe(dialogHost(), { childList: true });
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.lists.stop();
      this.end.abort();
      this.dialogs.disconnect();
      clearTimeout(this.typing);
      super.dispose();
    }
  }

  /** The runs that commands are meant for. */
  chosenRuns(): RunRow[] {
    return this.list.chosen();
  }

  /** These runs are no more. */
  deleted(ids: string[]): void {
    ids.forEach(id => this.list.picked.drop(id));
    this.picked();
    this.list.request();
    // the question is gone in a moment, and who asked it may be, too: a line, or the bar of what can be done
    setTimeout(() => {
      if (this.isVisible && nowhere()) {
        this.list.focus();
      }
    });
  }

  /** Something in front of the page is gone: the keyboard is where it was. */
  back(): void {
    this.list.request();
  }

  get view(): Readonly<Kept> {
    return this.kept;
  }

  get filter(): string {
    return this.box.value;
  }

  /** Filter by this text. */
  set filter(text: string) {
    this.box.value = text;
    this.ask();
  }

  /** As it was left, or as it is wanted. */
  restore(kept: Partial<Kept>): void {
    this.kept = { ...this.kept, ...kept };
    this.machine.fold(this.kept.machine);
    this.ask();
  }

  keep(change: Partial<Kept>): void {
    this.restore(change);
    this.host.keep(this.kept);
  }

  protected override onAfterShow(): void {
    this.look();
  }

  protected override onAfterHide(): void {
    this.look();
  }

  protected override onAfterAttach(): void {
    this.look();
  }

  protected override onBeforeDetach(): void {
    this.quiet();
  }

  protected override onActivateRequest(): void {
    this.list.focus();
    if (!this.node.contains(document.activeElement)) {
      this.box.focus();
    }
  }

  private look(): void {
    if (this.isVisible && document.visibilityState === 'visible') {
      this.lists.start();
      this.machine.visible(true);
      this.changed();
    } else {
      this.quiet();
    }
  }

  private quiet(): void {
    this.lists.stop();
    this.list.still();
    this.machine.visible(false);
  }

  private assemble(signal: AbortSignal): void {
    put(this.box, 'aria-label', t('Filter runs: words, tag:NAME=VALUE, compute:NAME'));
    put(this.box, 'title', t('Words of the name, the id, parameters and tags; tag:NAME=VALUE; compute:NAME'));
    on(this.box, 'input', () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.ask(), TYPING);
    }, signal);
    on(this.box, 'keydown', event => {
      if (event.key === 'Enter') {
        this.ask();
      } else if (event.key === 'ArrowDown') {
        event.preventDefault();
        this.list.focus();
      } else if (event.key === 'Escape' && this.box.value) {
        this.filter = '';
      }
    }, signal);
    const more = h('button', { type: 'button', class: 'button square', 'aria-label': t('Filter by tag or compute'), title: t('Filter by tag or compute'), 'aria-haspopup': 'menu' }, funnel());
    on(more, 'click', () => this.host.filterMenu(more.getBoundingClientRect(), () => back(more)), signal);
    const sort = h('button', { type: 'button', class: 'button square', 'aria-label': t('Order of the runs'), title: t('Order of the runs'), 'aria-haspopup': 'menu' }, order());
    on(sort, 'click', () => this.host.sortMenu(sort.getBoundingClientRect(), () => back(sort)), signal);
    const head = h('div', { class: 'mlr-filter', role: 'search' }, this.box, more, sort);
    put(this.selection, 'aria-label', t('What can be done to the runs that are picked'));
    this.root.append(head, this.chipRow(signal), this.notice, this.list.element, this.state, this.selectionBar(signal), this.machine.element);
    this.node.append(this.root);
    this.picked();
    this.changed();
  }

  private chipRow(signal: AbortSignal): HTMLElement {
    const words: Record<Chip, string> = { active: t('Active'), completed: spoken('Completed'), failed: spoken('Failed'), canceled: spoken('Canceled') };
    const looks: Record<Chip, string> = { active: 'live', completed: 'good', failed: 'bad', canceled: 'dim' };
    const row = h('div', { class: 'mlr-chips', role: 'group', 'aria-label': t('Filter by status') });
    for (const chip of CHIPS) {
      const count = h('span', { class: 'n' });
      const element = h('button', { type: 'button', class: 'chip', 'aria-pressed': 'false', 'data-look': looks[chip], 'data-chip': chip }, words[chip], count);
      on(element, 'click', () => {
        if (!this.chosen.delete(chip)) {
          this.chosen.add(chip);
        }
        put(element, 'aria-pressed', String(this.chosen.has(chip)));
        this.ask();
      }, signal);
      this.chips.set(chip, { element, count });
      row.append(element);
    }
    return row;
  }

  private selectionBar(signal: AbortSignal): HTMLElement {
    const act = (label: string, command: string): HTMLButtonElement => {
      const press = button(label, null, true);
      on(press, 'click', () => this.host.execute(command), signal);
      return press;
    };
    const away = button(t('Pick none'), 'close');
    on(away, 'click', () => {
      this.list.picked.clear();
      this.picked();
      this.list.focus();
    }, signal);
    this.selection.append(this.count, act(t('Compare'), COMMANDS.compare), act(t('Stop'), COMMANDS.stop), act(t('Delete'), COMMANDS.delete), away);
    return this.selection;
  }

  private picked(): void {
    const n = this.list.picked.size;
    show(this.selection, n > 1);
    say(this.count, plural(n, '{n} picked', '{n} picked'));
  }

  private query(): RunQuery {
    const sort = this.kept.sort === '-created' ? {} : { sort: this.kept.sort };
    return { ...queryOf(this.box.value, this.chosen), ...sort };
  }

  private ask(): void {
    clearTimeout(this.typing);
    this.lists.ask(this.query(), this.kept.grouped);
    // a question that failed ended the list: it is begun anew
    this.look();
    this.list.element.scrollTop = 0;
  }

  private async fetch(query: RunQuery): Promise<RunRow[]> {
    const answer = await this.host.server.ask<Runs>('GET', 'api/runs', { ...query });
    return answer.runs;
  }

  private clearFilter(): void {
    this.chosen.clear();
    for (const { element } of this.chips.values()) {
      put(element, 'aria-pressed', 'false');
    }
    this.filter = '';
    this.box.focus();
  }

  private changed(): void {
    const { lists } = this;
    const counts = chipCounts(lists.counts);
    for (const [chip, { count }] of this.chips) {
      say(count, counts[chip] ? whole(counts[chip]) : '');
    }
    put(this.root, 'data-link', lists.link);
    put(this.root, 'data-fresh', lists.loaded);
    const lost = lists.known && (lists.link === 'lost' || lists.problem !== null);
    show(this.notice, lost);
    say(this.notice, lost ? (lists.problem?.message ?? t('Not connected to the server: what is shown may be old. Trying again …')) : '');
    const there = lists.tree.length > 0;
    show(this.list.element, there);
    this.instead(there ? '' : this.situation());
    this.list.request();
  }

  /** Why there is no list. */
  private situation(): string {
    const { lists } = this;
    if (lists.problem && !lists.known) {
      return 'problem';
    }
    if (!lists.known || !lists.loaded) {
      return lists.link === 'lost' ? 'lost' : 'loading';
    }
    return lists.filtered ? 'none' : 'empty';
  }

  private instead(situation: string): void {
    const key = `${situation} ${this.lists.problem?.message ?? ''}`;
    if (key === this.shownState) {
      return;
    }
    this.shownState = key;
    show(this.state, situation !== '');
    put(this.state, 'data-situation', situation);
    const again = (label: string, work: () => void): HTMLElement => {
      const press = button(label, null, true);
      press.addEventListener('click', work);
      return press;
    };
    const parts: Record<string, () => (Node | null)[]> = {
      loading: () => [h('div', { class: 'bones', role: 'status', 'aria-label': t('Loading …') }, ...['a', 'b', 'c', 'd'].map(() => h('div', { class: 'bone' })))],
      lost: () => [h('span', { class: 'big' }, icon('unknown')), h('p', { class: 'what' }, t('The server does not answer.')), h('p', { class: 'hint' }, t('The list comes as soon as it does.')), again(t('Try now'), () => void this.diagnose())],
      problem: () => [h('span', { class: 'big', 'data-look': 'bad' }, icon('warn')), h('p', { class: 'what' }, this.lists.problem?.message ?? ''), h('p', { class: 'hint' }, this.lists.problem?.hint ?? ''), again(t('Try again'), () => void this.diagnose())],
      none: () => [h('p', { class: 'what' }, t('No run fits the filter.')), again(t('Clear the filter'), () => this.clearFilter())],
      empty: () => [h('span', { class: 'big' }, runsMark()), h('p', { class: 'what' }, t('No runs yet')), h('p', { class: 'hint' }, t('Begin a cell with'), ' ', h('code', {}, '%%submit'), ' ', t('and run it: it goes on in the background, and shows here.')), again(t('Submit the active cell …'), () => this.host.execute(COMMANDS.submitForm))]
    };
    this.state.replaceChildren(...(parts[situation]?.() ?? []).filter((part): part is Node => part !== null));
  }

  /** Ask plainly: a channel that fails does not say why. */
  private async diagnose(): Promise<void> {
    this.lists.stop();
    this.lists.problem = null;
    try {
      await this.host.server.ask('GET', 'api/about');
      this.host.server.channel.wake();
      this.look();
    } catch (error) {
      const refused = error as { problem?: RunLists['problem'] };
      this.lists.problem = refused.problem ?? null;
      this.changed();
    }
  }
}

/** Whether the keyboard is nowhere. */
function nowhere(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}

/** A menu that *opener* opened is closed. */
function back(opener: HTMLElement): void {
  if (nowhere()) {
    opener.focus();
  }
}

function runsMark(): Node {
  const mark = h('span', {});
  runsIcon.element({ container: mark });
  return mark;
}

function drawn(d: string): SVGSVGElement {
  const svg = icon('up');
  svg.querySelector('path')?.setAttribute('d', d);
  return svg;
}

const funnel = (): SVGSVGElement => drawn('M2.5 3.5h11L9.25 8.5v4.2l-2.5-1.4V8.5z');
const order = (): SVGSVGElement => drawn('M4.5 3v10M2.2 10.7l2.3 2.3 2.3-2.3M9 4h5M9 8h3.6M9 12h2.2');
