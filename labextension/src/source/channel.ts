// The live channel: one WebSocket for a whole page, and what the page follows over it, whatever becomes of the line.

import type { FromPage, FromServer, Problem } from '../api.js';
import { PING_SECONDS } from '../api.js';
import type { FromPython, FromView } from '../contract.js';
import { numbersOf, type Link } from './source.js';

/** The part of a WebSocket that is used here. */
export interface Socket {
  binaryType: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(): void;
}

/** Time, so that tests need not wait for it. */
export interface Clock {
  /** milliseconds that only rise */
  now(): number;
  after(milliseconds: number, work: () => void): unknown;
  forget(timer: unknown): void;
}

const real: Clock = {
  now: () => performance.now(),
  after: (milliseconds, work) => setTimeout(work, milliseconds),
  forget: timer => clearTimeout(timer as ReturnType<typeof setTimeout>)
};

export type Heard = (FromServer | (FromPython & { sub: number })) & { sub: number };

/** What is followed: the `open` message without its number. */
export type Wish = Record<string, unknown> & { what: 'runs' | 'run' | 'machine' };

/** Who hears what comes. */
export interface Listener {
  heard(message: Heard, numbers: Float64Array): void;
  /** lost: nothing comes until it is open again, and then everything comes anew */
  linked?(link: Link): void;
  /** `final`: it is over, nothing comes any more */
  problem?(problem: Problem, final: boolean): void;
}

/** Waits before the next try, in milliseconds; the last one stays.  A server that restarts is met within a second. */
export const WAITS = [100, 250, 500, 500, 1000, 1000, 1000, 2000, 2000, 5000];
/** Without a word for so long, the line is dead, whatever the browser thinks. */
export const SILENCE = 3 * PING_SECONDS * 1000;
/** Nobody follows anything for so long: the line is given back. */
export const IDLE = 3000;

/** One thing that is followed. */
export class Following {
  /** its name on the line; a new one each time that something else is asked for, so that late answers are not mistaken */
  number: number;
  link: Link = 'open';
  ended = false;
  private last: FromView | null = null;

  constructor(
    private readonly channel: Channel,
    readonly listener: Listener,
    private wish: Wish
  ) {
    this.number = channel.number();
  }

  /** Follow something else from now on. */
  move(wish: Wish): void {
    if (!this.ended) {
      this.channel.say({ do: 'close', sub: this.number });
      this.channel.rename(this, () => (this.number = this.channel.number()));
      this.wish = wish;
      this.begin();
    }
  }

  /** A message of a run's view; one that says what is seen is said again when the line was lost before it arrived. */
  say(message: FromView): void {
    if (this.ended) {
      return;
    }
    if (message.type === 'hello' || message.type === 'hide') {
      this.last = message;
    }
    this.channel.say({ do: 'say', sub: this.number, message });
  }

  close(): void {
    if (!this.ended) {
      this.ended = true;
      this.channel.leave(this);
    }
  }

  /** Ask for it. */
  begin(): void {
    this.channel.say({ ...this.wish, do: 'open', sub: this.number } as unknown as FromPage);
    if (this.last) {
      this.channel.say({ do: 'say', sub: this.number, message: this.last });
    }
  }

  become(link: Link): void {
    if (link !== this.link) {
      this.link = link;
      this.listener.linked?.(link);
    }
  }
}

/** One line to the server, made when something is followed; it comes back by itself. */
export class Channel {
  private readonly following = new Map<number, Following>();
  private socket: Socket | null = null;
  private open = false;
  private numbers = 0;
  private tries = 0;
  private heardAt = 0;
  private retry: unknown = null;
  private watch: unknown = null;
  private idle: unknown = null;

  constructor(
    private readonly connect: () => Socket,
    private readonly clock: Clock = real
  ) {}

  /** Whether the last try came to nothing. */
  get link(): Link {
    return this.open || this.tries === 0 ? 'open' : 'lost';
  }

  follow(wish: Wish, listener: Listener): Following {
    const made = new Following(this, listener, wish);
    this.following.set(made.number, made);
    this.clock.forget(this.idle);
    this.idle = null;
    if (this.open) {
      made.begin();
    } else {
      made.link = this.tries ? 'lost' : 'open';
      this.reach();
    }
    return made;
  }

  /** The page is looked at again, or the network is back: no waiting any more. */
  wake(): void {
    if (this.open && this.clock.now() - this.heardAt > SILENCE) {
      this.drop();
    }
    if (this.following.size && !this.socket) {
      this.reach();
    }
  }

  /** A number that was never used. */
  number(): number {
    return ++this.numbers;
  }

  /** For `Following`: it has another number from now on. */
  rename(one: Following, change: () => void): void {
    this.following.delete(one.number);
    change();
    this.following.set(one.number, one);
  }

  /** For `Following`: say it, if anybody hears. */
  say(message: FromPage): void {
    if (this.open) {
      this.socket?.send(JSON.stringify(message));
    }
  }

  /** For `Following`: it is over. */
  leave(one: Following): void {
    if (this.following.delete(one.number)) {
      this.say({ do: 'close', sub: one.number });
    }
    if (!this.following.size && this.idle === null) {
      this.idle = this.clock.after(IDLE, () => this.rest());
    }
  }

  private rest(): void {
    this.idle = null;
    if (!this.following.size) {
      this.clock.forget(this.retry);
      this.retry = null;
      this.tries = 0;
      this.drop();
    }
  }

  private reach(): void {
    if (this.socket) {
      return;
    }
    this.clock.forget(this.retry);
    this.retry = null;
    let socket: Socket;
    try {
      socket = this.connect();
    } catch (error) {
      console.debug('jupyter_mlrun: no live channel', error);
      this.lost();
      return;
    }
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    const mine = (work: () => void) => () => {
      if (this.socket === socket) {
        work();
      }
    };
    socket.onopen = mine(() => this.opened());
    socket.onclose = mine(() => {
      this.drop();
      this.lost();
    });
    socket.onmessage = event => mine(() => this.hear(event.data))();
    // a server that takes the line and says nothing is no server
    this.guard();
  }

  private opened(): void {
    this.open = true;
    this.heardAt = this.clock.now();
    for (const one of this.following.values()) {
      one.begin();
    }
    for (const one of [...this.following.values()]) {
      one.become('open');
    }
  }

  /** Let go of the line; nobody is told. */
  private drop(): void {
    const { socket } = this;
    this.socket = null;
    this.open = false;
    this.clock.forget(this.watch);
    this.watch = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  private lost(): void {
    const wait = WAITS[Math.min(this.tries, WAITS.length - 1)] as number;
    this.tries++;
    for (const one of [...this.following.values()]) {
      one.become('lost');
    }
    if (this.following.size) {
      // many pages that lost one server must not come back in one instant
      this.retry = this.clock.after(wait * (0.75 + Math.random() / 4), () => this.reach());
    }
  }

  private guard(): void {
    this.clock.forget(this.watch);
    this.heardAt = this.clock.now();
    const look = (): void => {
      const left = this.heardAt + SILENCE - this.clock.now();
      if (left > 0) {
        this.watch = this.clock.after(left, look);
      } else {
        this.drop();
        this.lost();
      }
    };
    this.watch = this.clock.after(SILENCE, look);
  }

  private hear(data: unknown): void {
    this.heardAt = this.clock.now();
    this.tries = 0;
    const parted = data instanceof ArrayBuffer ? part(data) : null;
    if (!parted) {
      return;
    }
    const { message, numbers } = parted;
    if (message.type === 'ping') {
      this.say({ do: 'pong' });
      return;
    }
    const one = this.following.get(message.sub);
    if (!one) {
      return;
    }
    if (message.type === 'problem') {
      if (message.final) {
        one.ended = true;
        this.leave(one);
      }
      one.listener.problem?.(message.error, message.final);
      return;
    }
    one.listener.heard(message, numbers);
  }
}

/** Header and numbers of one message; null for what is none. */
export function part(data: ArrayBuffer): { message: Heard; numbers: Float64Array } | null {
  if (data.byteLength < 4) {
    return null;
  }
  const length = new DataView(data).getUint32(0, true);
  if (length > data.byteLength - 4) {
    return null;
  }
  try {
    const message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as Heard;
    return { message, numbers: numbersOf(new DataView(data, 4 + length)) };
  } catch {
    return null;
  }
}
