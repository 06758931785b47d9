// A magic's line as words, as Python's shlex splits them, with their places; and words as it must be written.  Pure.

export interface Word {
  /** what the magic gets */
  text: string;
  /** as it stands there */
  raw: string;
  from: number;
  to: number;
  /** a quote is open at the end */
  open: boolean;
}

/** The words of a text; the last one may be unfinished. */
export function splitLine(text: string, offset = 0): Word[] {
  const words: Word[] = [];
  let i = 0;
  while (i < text.length) {
    if (/\s/.test(text[i] as string)) {
      i++;
      continue;
    }
    const from = i;
    let value = '';
    let quote = '';
    for (; i < text.length; i++) {
      const c = text[i] as string;
      if (quote) {
        if (c === quote) {
          quote = '';
        } else if (c === '\\' && quote === '"' && '"\\'.includes(text[i + 1] ?? ' ')) {
          value += text[++i] as string;
        } else {
          value += c;
        }
      } else if (c === '"' || c === "'") {
        quote = c;
      } else if (c === '\\' && i + 1 < text.length) {
        value += text[++i] as string;
      } else if (/\s/.test(c)) {
        break;
      } else {
        value += c;
      }
    }
    words.push({ text: value, raw: text.slice(from, i), from: from + offset, to: i + offset, open: quote !== '' });
  }
  return words;
}

/** A word as it must be written to be that word again. */
export function quoted(word: string): string {
  if (word !== '' && /^[\w@%+=:,./{}-]+$/.test(word)) {
    return word;
  }
  return `'${word.replaceAll("'", `'"'"'`)}'`;
}
