// Where a view's messages come from: the kernel today, a server later; the view knows only this.

import type { FromPython, FromView } from '../contract.js';

/** What comes: a message, and the numbers that came with it. */
export type Receiver = (message: FromPython, numbers: Float64Array) => void;

/** `lost`: nothing that is said is heard, and nothing will come, until it is `open` again. */
export type Link = 'open' | 'lost';

export interface Source {
  /** The name under which Python knows this view. */
  readonly view: string;
  readonly link: Link;
  /** Say something; never throws: what is lost shows by its missing answer. */
  send(message: FromView): void;
  /** Hear every message, and every change of `link`, until the returned function is called. */
  listen(receive: Receiver, changed: (link: Link) => void): () => void;
}

/** A message's buffer as numbers: a copy, where it does not lie on a multiple of 8. */
export function numbersOf(buffer: DataView | ArrayBuffer | undefined): Float64Array {
  if (!buffer) {
    return new Float64Array(0);
  }
  const [bytes, offset] =
    buffer instanceof ArrayBuffer ? [buffer, 0] : [buffer.buffer as ArrayBuffer, buffer.byteOffset];
  const count = Math.floor(buffer.byteLength / 8);
  if (offset % 8 === 0) {
    return new Float64Array(bytes, offset, count);
  }
  return new Float64Array(bytes.slice(offset, offset + count * 8));
}
