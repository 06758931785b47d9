// The lines of a log that the view holds: the newest, and those that were looked at; the others are asked for.

/** Lines of a chunk: what is forgotten together. */
export const CHUNK = 500;
export const MOST_CHUNKS = 16;
/** UTF-16 units of text kept, whatever the number of lines */
export const MOST_TEXT = 4_000_000;
const LEAST_CHUNKS = 3;

interface Chunk {
  lines: (string | undefined)[];
  text: number;
}

export class LogLines {
  total = 0;
  bytes = 0;
  partial = false;
  dropped: string | null = null;
  /** rises with every change */
  version = 0;
  // a Map keeps the order of insertion: the first is the one not used for longest
  private readonly chunks = new Map<number, Chunk>();
  private text = 0;

  /** Forget everything: another log, or the log anew. */
  clear(): void {
    this.chunks.clear();
    this.text = 0;
    this.total = 0;
    this.version++;
  }

  /** Put *lines* from number *from* on. */
  put(from: number, lines: readonly string[]): void {
    for (let i = 0; i < lines.length; i++) {
      const chunk = this.chunk(Math.floor((from + i) / CHUNK));
      const line = lines[i] as string;
      const more = line.length - (chunk.lines[(from + i) % CHUNK]?.length ?? 0);
      chunk.lines[(from + i) % CHUNK] = line;
      chunk.text += more;
      this.text += more;
    }
    this.version++;
    this.forget();
  }

  /** A line, or undefined when it must be asked for. */
  get(line: number): string | undefined {
    return this.chunks.get(Math.floor(line / CHUNK))?.lines[line % CHUNK];
  }

  /** The lines of [from, to) that are missing, from the first missing one: null when none is. Marks them as used. */
  missing(from: number, to: number): [number, number] | null {
    let found: [number, number] | null = null;
    for (let line = Math.max(0, from); line < Math.min(to, this.total); line++) {
      if (line % CHUNK === 0 || line === from) {
        this.use(Math.floor(line / CHUNK));
      }
      if (this.get(line) === undefined) {
        found = found ? [found[0], line + 1] : [line, line + 1];
      }
    }
    return found;
  }

  /** Lines held, for tests of memory. */
  get held(): number {
    let count = 0;
    for (const chunk of this.chunks.values()) {
      count += chunk.lines.reduce((n, line) => n + (line === undefined ? 0 : 1), 0);
    }
    return count;
  }

  private use(index: number): void {
    const chunk = this.chunks.get(index);
    if (chunk) {
      this.chunks.delete(index);
      this.chunks.set(index, chunk);
    }
  }

  private chunk(index: number): Chunk {
    let chunk = this.chunks.get(index);
    if (!chunk) {
      chunk = { lines: new Array<string | undefined>(CHUNK), text: 0 };
      this.chunks.set(index, chunk);
    }
    return chunk;
  }

  private forget(): void {
    const end = Math.floor(Math.max(0, this.total - 1) / CHUNK);
    for (const [index, chunk] of this.chunks) {
      const tooMany = this.chunks.size > MOST_CHUNKS || this.text > MOST_TEXT;
      if (!tooMany || this.chunks.size <= LEAST_CHUNKS) {
        return;
      }
      // the end is what is looked at most, and comes with no question
      if (index < end - 1) {
        this.chunks.delete(index);
        this.text -= chunk.text;
      }
    }
  }
}
