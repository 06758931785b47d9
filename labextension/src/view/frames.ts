// One drawing per animation frame, whatever came meanwhile.

/** Calls *draw* once in the next animation frame after any number of requests. */
export class Frames {
  private pending = 0;
  private ended = false;

  constructor(private readonly draw: () => void) {}

  request(): void {
    if (!this.pending && !this.ended) {
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        this.draw();
      });
    }
  }

  end(): void {
    this.ended = true;
    cancelAnimationFrame(this.pending);
  }
}
