// Which runs are picked, and from where a range goes.  Pure.

export class Picked implements Iterable<string> {
  /** where the next range begins */
  anchor: string | null = null;
  private ids = new Set<string>();

  get size(): number {
    return this.ids.size;
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.ids[Symbol.iterator]();
  }

  only(id: string): void {
    this.ids = new Set([id]);
    this.anchor = id;
  }

  toggle(id: string): void {
    if (!this.ids.delete(id)) {
      this.ids.add(id);
    }
    this.anchor = id;
  }

  /** These and no others; where the range began stays. */
  range(ids: Iterable<string>): void {
    this.ids = new Set(ids);
  }

  clear(): void {
    this.ids.clear();
    this.anchor = null;
  }

  /** Forget a run that is no more. */
  drop(id: string): void {
    this.ids.delete(id);
  }
}
