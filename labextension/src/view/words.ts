// Words, numbers and times for people.  Every string that is shown goes through `t`.

/** What JupyterLab's translator does: a text in the reader's language, and the form of it that goes with a count. */
export interface Translation {
  __(text: string): string;
  _n(one: string, many: string, n: number): string;
}

let translation: Translation = { __: text => text, _n: (one, many, n) => (n === 1 ? one : many) };

/** Where a translation comes from; without one, words are English. */
export function setTranslation(found: Translation): void {
  translation = found;
}

/** A text of the view in the reader's language, with `{name}` replaced by what is given; JupyterLab takes `%%` for `%`. */
export function t(text: string, values: Record<string, string | number> = {}): string {
  return filled(translation.__(text), values);
}

/** The form that goes with a count, which replaces `{n}`: `one` or `many` in English. */
export function plural(n: number, one: string, many: string): string {
  return filled(translation._n(one, many, n), { n: whole(n) });
}

function filled(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => (name in values ? String(values[name]) : place));
}

/** `1,234,567`. */
export function whole(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

/** About five digits: `0.034512`, `12,345`, `1.2e-7`. */
export function number(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e9) {
    return minus(whole(value));
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) {
    return minus(value.toExponential(3).replace(/\.?0+e/, 'e').replace('e+', 'e'));
  }
  const digits = Number(value.toPrecision(5));
  return minus(digits.toLocaleString('en-US', { maximumSignificantDigits: 5 }));
}

function minus(text: string): string {
  return text.replace('-', '−').replace('e-', 'e−');
}

/** `0:07`, `3:05`, `2:10:09`, `3 d 04:10:09`. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  const [days, hours] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24];
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  if (days) {
    return t('{n} d {rest}', { n: days, rest: `${two(hours)}:${rest}` });
  }
  return hours ? `${hours}:${rest}` : rest.replace(/^0(\d)/, '$1');
}

/** Seconds on an axis: `30 s`, `5 min`, `2 h`, `1.5 d`. */
export function span(seconds: number): string {
  const size = Math.abs(seconds);
  const [unit, name] =
    size >= 86400 ? [86400, 'd'] : size >= 3600 ? [3600, 'h'] : size >= 60 ? [60, 'min'] : [1, 's'];
  return `${number(seconds / unit)} ${name}`;
}

/** `512 B`, `1.5 kB`, `300 MB`. */
export function bytes(count: number): string {
  let size = count;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (size < 1000) {
      return `${unit === 'B' ? Math.round(size) : Number(size.toPrecision(3))} ${unit}`;
    }
    size /= 1000;
  }
  return `${Number(size.toPrecision(3))} TB`;
}

/** Day and time in the reader's zone; empty where there is none. */
export function moment(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) {
    return '';
  }
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime())
    ? ''
    : date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** `CancelRequested` → `Cancel requested`. */
export function spoken(status: string): string {
  const words = status.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return t(words.charAt(0).toUpperCase() + words.slice(1));
}
