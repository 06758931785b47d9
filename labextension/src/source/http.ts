// The server of runs: questions over HTTP, and what is followed over the live channel.

import type { Machine, Problem, RunQuery, RunsUpdate } from '../api.js';
import { PREFIX } from '../api.js';
import type { FromPython, FromView } from '../contract.js';
import { t } from '../view/words.js';
import { Channel, type Following, type Listener } from './channel.js';
import { Refused } from './refused.js';
import type { Link, Receiver, Source } from './source.js';

export type Query = Record<string, string | number | boolean | undefined>;

/** Where the server is, and how it knows us. */
export interface Place {
  /** of Jupyter, with its slash: `/user/ada/` or `https://host/` */
  baseUrl: string;
  /** the same for WebSockets; default: made of `baseUrl` */
  wsUrl?: string;
  /** where cookies do not do */
  token?: string;
  /** default: the configured one */
  workspace?: string;
}

/** Who hears of a list. */
export interface ListListener {
  heard(update: RunsUpdate): void;
  linked?(link: Link): void;
  problem?(problem: Problem, final: boolean): void;
}

/** A list that is followed. */
export interface Listing {
  readonly link: Link;
  /** another question: the next update is `full` */
  move(query: RunQuery): void;
  close(): void;
}

/** One run over the live channel, for a view. */
export class HttpSource implements Source {
  readonly view = 'http';
  private readonly following: Following;
  private readonly heard = new Set<{ receive: Receiver; changed: (link: Link) => void }>();

  constructor(channel: Channel, run: string, more: Record<string, unknown>, problem?: Listener['problem']) {
    this.following = channel.follow({ what: 'run', run, ...more }, {
      heard: (message, numbers) => {
        for (const one of this.heard) {
          one.receive(message as FromPython, numbers);
        }
      },
      linked: link => {
        for (const one of this.heard) {
          one.changed(link);
        }
      },
      ...(problem ? { problem } : {})
    });
  }

  get link(): Link {
    return this.following.link;
  }

  send(message: FromView): void {
    this.following.say(message);
  }

  listen(receive: Receiver, changed: (link: Link) => void): () => void {
    const one = { receive, changed };
    this.heard.add(one);
    return () => void this.heard.delete(one);
  }

  end(): void {
    this.following.close();
  }
}

/** Questions and commands, each with its answer; and what is followed. */
export class HttpServer {
  readonly channel: Channel;

  constructor(private readonly place: Place) {
    this.channel = new Channel(() => new WebSocket(this.live()));
    if (typeof document !== 'undefined') {
      // for as long as the page lives: a server is never let go of
      addEventListener('online', () => this.channel.wake());
      document.addEventListener('visibilitychange', () => {
        if (document.visibilityState === 'visible') {
          this.channel.wake();
        }
      });
    }
  }

  /** Rejected with a `Refused`, whatever goes wrong. */
  async ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, query: Query = {}, body?: unknown): Promise<T> {
    const response = await this.fetch(method, path, query, body);
    try {
      return (response.status === 204 ? null : await response.json()) as T;
    } catch {
      throw new Refused(response.status, {
        kind: 'Internal',
        message: t('The server’s answer cannot be read.'),
        hint: t('Something between here and the server may have changed it.')
      });
    }
  }

  /** A file's bytes, at most *most* of them from its beginning; *total* is the whole file's. */
  async part(path: string, query: Query, most?: number): Promise<{ data: Blob; total: number }> {
    const headers = most ? { Range: `bytes=0-${most - 1}` } : {};
    const response = await this.fetch('GET', path, query, undefined, headers);
    const data = await response.blob();
    const total = Number(/\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '')?.[1] ?? data.size);
    return { data, total };
  }

  /** The address of something below our prefix. */
  address(path: string, query: Query = {}): string {
    const all = { workspace: this.place.workspace, ...query };
    const named = Object.entries(all).filter(([, value]) => value !== undefined && value !== '');
    const text = new URLSearchParams(named.map(([name, value]) => [name, String(value)])).toString();
    return `${this.place.baseUrl}${PREFIX}/${path}${text && `?${text}`}`;
  }

  /** One run on the live channel; `end` leaves it.  *problem* hears why it cannot be followed. */
  follow(run: string, problem?: (problem: Problem, final: boolean) => void): { source: Source; end(): void } {
    const source = new HttpSource(this.channel, run, this.workspace(), problem);
    return { source, end: () => source.end() };
  }

  /** A list of runs, until the returned function is called. */
  list(query: RunQuery, heard: (update: RunsUpdate) => void): () => void {
    const listing = this.watch(query, { heard });
    return () => listing.close();
  }

  /** A list of runs whose window moves. */
  watch(query: RunQuery, listener: ListListener): Listing {
    const wish = (asked: RunQuery) => ({ what: 'runs' as const, query: asked, ...this.workspace() });
    const following = this.channel.follow(wish(query), {
      ...bound(listener),
      heard: message => void (message.type === 'runs' && listener.heard(message))
    });
    return {
      get link() {
        return following.link;
      },
      move: asked => following.move(wish(asked)),
      close: () => following.close()
    };
  }

  /** This machine, until the returned function is called. */
  machine(heard: (machine: Machine) => void, linked?: (link: Link) => void): () => void {
    const following = this.channel.follow({ what: 'machine', ...this.workspace() }, {
      heard: message => void (message.type === 'machine' && heard(message)),
      ...(linked ? { linked } : {})
    });
    return () => following.close();
  }

  private workspace(): { workspace?: string } {
    return this.place.workspace ? { workspace: this.place.workspace } : {};
  }

  private live(): string {
    const { wsUrl, baseUrl, token } = this.place;
    const base = wsUrl ?? new URL(baseUrl, location.href).href.replace(/^http/, 'ws');
    return `${base}${PREFIX}/api/live${token ? `?token=${encodeURIComponent(token)}` : ''}`;
  }

  private async fetch(
    method: string,
    path: string,
    query: Query,
    body: unknown,
    more: Record<string, string> = {}
  ): Promise<Response> {
    const headers: Record<string, string> = { ...more };
    if (this.place.token) {
      headers['Authorization'] = `token ${this.place.token}`;
    }
    const xsrf = /\b_xsrf=([^;]*)/.exec(document.cookie)?.[1];
    if (xsrf && method !== 'GET') {
      headers['X-XSRFToken'] = xsrf;
    }
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
    }
    let response: Response;
    try {
      response = await fetch(this.address(path, query), {
        method,
        headers,
        credentials: 'same-origin',
        cache: 'no-store',
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      });
    } catch {
      throw new Refused(0, {
        kind: 'Busy',
        message: t('The Jupyter server cannot be reached.'),
        hint: t('It may be starting anew: try again in a moment.')
      });
    }
    if (!response.ok) {
      throw new Refused(response.status, await problemIn(response));
    }
    return response;
  }
}

function bound(listener: ListListener): Omit<Listener, 'heard'> {
  return {
    linked: link => listener.linked?.(link),
    problem: (problem, final) => listener.problem?.(problem, final)
  };
}

/** What an answer that is no success says; a proxy or a server without our extension says it in its own way. */
async function problemIn(response: Response): Promise<Problem> {
  try {
    const said = (await response.json()) as { error?: Partial<Problem> };
    if (typeof said.error?.message === 'string') {
      return { kind: said.error.kind ?? 'Internal', message: said.error.message, hint: said.error.hint ?? null };
    }
  } catch {
    // no JSON: the status must do
  }
  if (response.status === 404) {
    return {
      kind: 'NotFound',
      message: t('The Jupyter server does not know of runs.'),
      hint: t('Its extension jupyter_mlrun is not installed there, or not enabled.')
    };
  }
  if (response.status === 403 || response.status === 401) {
    return { kind: 'Forbidden', message: t('You are not logged in any more.'), hint: t('Load the page again.') };
  }
  return { kind: 'Internal', message: t('The server answered {n}.', { n: response.status }), hint: null };
}
