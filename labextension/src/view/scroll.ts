// Which lines a scroll position shows, for any number of lines and rows of any height.  Pure arithmetic.
//
// A scroll position is a fraction f of what can be scrolled.  The line f × total is put at the height f × viewport:
// at the top for 0, at the bottom for 1, and never a jump between, however high the rows are and however much the
// scroll range was shortened.  With rows of one height and an unshortened range this is plain scrolling.

/** Pixels: browsers end elements at about 17 or 33 million. */
export const MOST_HEIGHT = 8_000_000;
const SPARE = 6;

export interface Window {
  /** first and past the last line to be rendered */
  from: number;
  to: number;
  /** the line at the height `at`, and how far into its row */
  anchor: number;
  part: number;
  /** pixels from the top of the viewport */
  at: number;
}

/** Height of what is scrolled. */
export function scrollHeight(total: number, row: number): number {
  return Math.min(total * row, MOST_HEIGHT);
}

/** The lines to render where *fraction* of the range is scrolled; rows are *row* high on average, *least* at least. */
export function windowAt(fraction: number, total: number, viewport: number, row: number, least = row): Window {
  const f = Math.min(Math.max(fraction, 0), 1);
  if (total * row <= viewport) {
    return { from: 0, to: total, anchor: 0, part: 0, at: 0 };
  }
  const place = f * total;
  const anchor = Math.min(Math.floor(place), total - 1);
  const at = f * viewport;
  return {
    from: Math.max(0, anchor - Math.ceil(at / least) - SPARE),
    to: Math.min(total, anchor + Math.ceil((viewport - at) / least) + SPARE),
    anchor,
    part: place - anchor,
    at
  };
}

/** The fraction at which *line* is in the middle of the viewport. */
export function fractionOf(line: number, total: number, viewport: number, row: number): number {
  const height = total * row - viewport;
  return height <= 0 ? 0 : Math.min(Math.max(((line + 0.5) * row - viewport / 2) / height, 0), 1);
}
