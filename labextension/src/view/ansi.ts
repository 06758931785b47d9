// A line of a log as a terminal would show it: pieces of text with colours, and nothing that does anything.
// What is not a colour or a weight (cursor moves, titles, links, controls, bidirectional overrides) is dropped.

/** A colour: one of the 16 of the theme, or red, green and blue from 0 to 255. */
export type Colour = number | readonly [number, number, number];

export interface Style {
  fg: Colour | null;
  bg: Colour | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
}

export interface Piece {
  text: string;
  style: Style;
}

export const PLAIN: Style = Object.freeze({
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false
});

const ESC = '\u001b';
// CSI; then OSC, DCS, SOS, PM, APC up to their end or the line's; then the two-character ones, and a lone ESC
const SEQUENCE =
  // eslint-disable-next-line no-control-regex
  /\u001b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])?|[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|[ -/]*[0-~])?/g;
// C0 without tab, C1, bidirectional overrides and isolates, byte order mark
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** A line's pieces; each line begins plain, since what came before it may not be here. */
export function parse(line: string): Piece[] {
  const shown = collapse(line);
  if (!shown.includes(ESC)) {
    return piece(shown, PLAIN);
  }
  const pieces: Piece[] = [];
  let [style, from] = [PLAIN, 0];
  for (const match of shown.matchAll(SEQUENCE)) {
    pieces.push(...piece(shown.slice(from, match.index), style));
    from = match.index + match[0].length;
    if (match[2] === 'm') {
      style = restyle(style, match[1] ?? '');
    }
  }
  pieces.push(...piece(shown.slice(from), style));
  return pieces;
}

/** A line's text without its escapes: what is searched and copied. */
export function plain(line: string): string {
  return parse(line)
    .map(p => p.text)
    .join('');
}

function piece(text: string, style: Style): Piece[] {
  const clean = text.replace(CONTROLS, '');
  return clean ? [{ text: clean, style }] : [];
}

/** What `\r` and `\b` leave: the last state of a progress bar. */
export function collapse(line: string): string {
  let shown = line;
  if (shown.includes('\r')) {
    // a bar that ends in \r, or only resets its colour after it, shows what came before
    const parts = shown.split('\r').reverse();
    shown = parts.find(part => part.replace(SEQUENCE, '') !== '') ?? '';
  }
  if (!shown.includes('\b')) {
    return shown;
  }
  const kept: string[] = [];
  for (const character of shown) {
    if (character !== '\b') {
      kept.push(character);
    } else {
      kept.pop();
    }
  }
  return kept.join('');
}

const ON: Record<number, Partial<Style>> = {
  0: PLAIN,
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  21: { underline: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { strike: false },
  39: { fg: null },
  49: { bg: null }
};

function restyle(style: Style, parameters: string): Style {
  // `38:2::r:g:b` and `38;2;r;g;b` are the same; a sub-parameter of underline is no style of its own
  const codes = parameters
    .replace(/\b4:(\d)/g, (_, kind: string) => (kind === '0' ? '24' : '4'))
    .replace(/([34]8):2:\d*:(\d+:\d+:\d+)/g, '$1:2:$2')
    .split(/[;:]/)
    .map(code => (code === '' ? 0 : Number(code)));
  let next = style;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] as number;
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, i + 1);
      i += used;
      if (colour !== null) {
        next = { ...next, [code === 38 ? 'fg' : 'bg']: colour };
      }
    } else {
      next = { ...next, ...(ON[code] ?? basic(code)) };
    }
  }
  return next;
}

function basic(code: number): Partial<Style> {
  const [ten, unit] = [Math.floor(code / 10), code % 10];
  if (unit > 7) {
    return {};
  }
  const bright = ten >= 9 ? 8 : 0;
  if (ten === 3 || ten === 9) {
    return { fg: unit + bright };
  }
  return ten === 4 || ten === 10 ? { bg: unit + bright } : {};
}

/** The colour after 38 or 48, and how many codes it took. */
function extended(codes: readonly number[], at: number): [Colour | null, number] {
  if (codes[at] === 5) {
    const n = codes[at + 1];
    return [n === undefined || !(n >= 0 && n <= 255) ? null : indexed(n), 2];
  }
  if (codes[at] === 2) {
    const rgb = codes.slice(at + 1, at + 4);
    const right = rgb.length === 3 && rgb.every(n => n >= 0 && n <= 255);
    return [right ? [rgb[0] as number, rgb[1] as number, rgb[2] as number] : null, 4];
  }
  return [null, codes.length];
}

function indexed(n: number): Colour {
  if (n < 16) {
    return n;
  }
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (i: number): number => (i === 0 ? 0 : 55 + i * 40);
  const cube = n - 16;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}
