// The runs that the sidebar shows, as the live channel pushes them: one window from the top, and one per place looked at.

import type { ExperimentCount, Problem, RunQuery, RunRow, RunsUpdate } from '../api.js';
import type { HttpServer, Listing } from '../source/http.js';
import type { Link } from '../source/source.js';
import { Rows, Tree, type Part } from './tree.js';

/** Runs in the window from the top: with no more than these, it is the only one. */
export const FIRST = 200;
const MOST_WINDOWS = 40;

interface Followed {
  part: Part;
  listing: Listing;
  rows: Rows;
}

type Watcher = Pick<HttpServer, 'watch'>;

export class RunLists {
  readonly tree = new Tree();
  total = 0;
  counts: Record<string, number> = {};
  experiments: ExperimentCount[] = [];
  /** something came, and it answers the question that is asked now */
  loaded = false;
  /** something came at all */
  known = false;
  link: Link = 'open';
  problem: Problem | null = null;
  private base = new Rows();
  private listing: Listing | null = null;
  private readonly windows = new Map<string | null, Followed>();
  private query: RunQuery = {};
  private grouped = true;

  constructor(
    private readonly server: Watcher,
    private readonly changed: () => void
  ) {}

  get shown(): boolean {
    return this.listing !== null;
  }

  /** Whether something narrows the list. */
  get filtered(): boolean {
    const { sort: _, ...rest } = this.query;
    return Object.keys(rest).length > 0;
  }

  /** Follow it from now on. */
  start(): void {
    if (!this.listing) {
      this.problem = null;
      this.listing = this.server.watch(this.first(), {
        heard: update => this.take(update),
        linked: link => {
          this.link = link;
          this.changed();
        },
        problem: (problem, final) => {
          this.problem = problem;
          if (final) {
            this.stop();
          }
          this.changed();
        }
      });
      this.link = this.listing.link;
    }
  }

  /** Nobody looks: be quiet. */
  stop(): void {
    this.listing?.close();
    this.listing = null;
    this.leave();
  }

  /** Ask for other runs, or for another order. */
  ask(query: RunQuery, grouped: boolean): void {
    if (JSON.stringify([query, grouped]) === JSON.stringify([this.query, this.grouped])) {
      return;
    }
    const other = JSON.stringify(query) !== JSON.stringify(this.query);
    [this.query, this.grouped] = [query, grouped];
    this.leave();
    if (other) {
      this.loaded = false;
      this.problem = null;
      this.listing?.move(this.first());
    } else {
      this.tree.clear();
      this.plant();
    }
    this.changed();
  }

  /** These lines are looked at. */
  see(from: number, to: number): void {
    if (!this.listing || !this.loaded) {
      return;
    }
    const wanted = new Map(this.tree.missing(from, to).slice(0, MOST_WINDOWS).map(part => [part.group, part]));
    for (const [group, followed] of this.windows) {
      if (!wanted.has(group)) {
        followed.listing.close();
        this.windows.delete(group);
      }
    }
    for (const [group, part] of wanted) {
      const have = this.windows.get(group);
      if (!have) {
        this.windows.set(group, this.follow(part));
      } else if (have.part.offset !== part.offset || have.part.limit !== part.limit) {
        have.part = part;
        have.listing.move(this.of(part));
      }
    }
  }

  /** Every run between two lines, asked for where it is not known; heads are passed over. */
  async between(a: number, b: number, fetch: (query: RunQuery) => Promise<RunRow[]>): Promise<string[]> {
    const [from, to] = [Math.min(a, b), Math.max(a, b)];
    const ids: string[] = [];
    for (let line = from; line <= to; line++) {
      const one = this.tree.at(line);
      if (one?.kind !== 'run') {
        continue;
      }
      if (one.run) {
        ids.push(one.run.id);
        continue;
      }
      const limit = Math.min(500, to - line + 1, one.group.runs - one.index);
      const rows = await fetch(this.of({ group: one.group.name, offset: one.index, limit }));
      ids.push(...rows.map(row => row.id));
      line += Math.max(0, limit - 1);
    }
    return ids;
  }

  private leave(): void {
    for (const { listing } of this.windows.values()) {
      listing.close();
    }
    this.windows.clear();
  }

  private first(): RunQuery {
    return { ...this.query, offset: 0, limit: FIRST };
  }

  private of(part: Part): RunQuery {
    const inside = part.group === null ? {} : { experiment: part.group };
    return { ...this.query, ...inside, offset: part.offset, limit: part.limit };
  }

  private take(update: RunsUpdate): void {
    if (update.full && !this.loaded) {
      this.tree.clear();
      this.base = new Rows();
    }
    this.base.take(update);
    [this.total, this.counts, this.experiments] = [update.total, update.counts, update.experiments];
    this.loaded = this.known = true;
    this.problem = null;
    this.link = 'open';
    this.plant();
    this.changed();
  }

  private plant(): void {
    this.tree.set(this.experiments, this.total, this.base, this.grouped);
  }

  private follow(part: Part): Followed {
    const followed: Followed = { part, rows: new Rows(), listing: null as unknown as Listing };
    followed.listing = this.server.watch(this.of(part), {
      heard: update => {
        if (update.full) {
          followed.rows = new Rows();
        }
        followed.rows.take(update);
        this.tree.put(followed.part.group, followed.part.offset, followed.rows);
        this.changed();
      }
    });
    return followed;
  }
}
