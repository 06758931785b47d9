// The kernel as a source: messages go through the comm of an anywidget model.

import type { FromPython, FromView } from '../contract.js';
import { numbersOf, type Link, type Receiver, type Source } from './source.js';

/** The part of an anywidget model that is used here. */
export interface Model {
  get(name: string): unknown;
  send(message: unknown): void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  on(event: string, callback: (...args: any[]) => void): void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  off(event: string, callback: (...args: any[]) => void): void;
}

export class CommSource implements Source {
  readonly view: string;
  private state: Link = 'open';

  constructor(private readonly model: Model) {
    const name = model.get('view');
    this.view = typeof name === 'string' ? name : '';
  }

  get link(): Link {
    return this.state;
  }

  send(message: FromView): void {
    try {
      this.model.send(message);
    } catch (error) {
      // a comm that is closed throws; its end is told by the events below
      console.debug('jupyter_mlrun: not sent', error);
    }
  }

  listen(receive: Receiver, changed: (link: Link) => void): () => void {
    const become = (link: Link): void => {
      if (link !== this.state) {
        this.state = link;
        changed(link);
      }
    };
    const heard = (message: FromPython, buffers?: (DataView | ArrayBuffer)[]): void => {
      // what speaks is there
      become('open');
      receive(message, numbersOf(buffers?.[0]));
    };
    // the kernel's models change one after the other: look when all have
    const checked = (): void => void setTimeout(() => become(this.live() ? 'open' : 'lost'), 0);
    const ended = (): void => become('lost');
    this.model.on('msg:custom', heard);
    this.model.on('comm_live_update', checked);
    this.model.on('destroy', ended);
    return () => {
      this.model.off('msg:custom', heard);
      this.model.off('comm_live_update', checked);
      this.model.off('destroy', ended);
    };
  }

  /** Whether the comm is open.  Our own model says only that this changed; its layout, a model beside it, says more. */
  private live(): boolean {
    const layout = this.model.get('layout') as { comm_live?: boolean } | undefined;
    return layout?.comm_live === true;
  }
}
