// Round numbers for axes, and ranges that can be drawn: pure arithmetic, right for every pair of floats.

/** Beyond this the difference of two floats may be infinite. */
const FAR = 8e307;

/** A value that can be subtracted from any other; NaN stays NaN. */
export function drawable(value: number): number {
  return value > FAR ? FAR : value < -FAR ? -FAR : value;
}

/** The range to draw for values from *low* to *high*: never empty, with some air where *air* says. */
export function range(low: number, high: number, air = 0): [number, number] {
  if (!(low <= high)) {
    return [0, 1];
  }
  const [a, b] = [drawable(low), drawable(high)];
  const size = Math.max(Math.abs(a), Math.abs(b));
  if (b - a <= size * 1e-12 || b - a < 1e-300) {
    const pad = size > 1e-290 ? size / 2 : 1;
    return [drawable(a - pad), drawable(b + pad)];
  }
  const pad = (b - a) * air;
  // a curve of positive values does not begin below zero
  return [a >= 0 && a - pad < 0 ? 0 : drawable(a - pad), drawable(b + pad)];
}

/** At most about *count* round numbers from *low* to *high*. */
export function ticks(low: number, high: number, count = 5): number[] {
  const size = high - low;
  if (!Number.isFinite(size) || size <= 0 || size / count < 1e-305) {
    return [low];
  }
  const power = Math.floor(Math.log10(size / count));
  const base = 10 ** power;
  const factor = [1, 2, 5, 10].find(n => size / (base * n) <= count) ?? 10;
  const step = base * factor;
  const first = Math.ceil(low / step - 1e-9);
  const most = Math.min(Math.floor((high - first * step) / step + 1e-9), 50);
  const decimals = Math.min(Math.max(0, -power), 100);
  return Array.from({ length: most + 1 }, (_, i) => {
    const value = (first + i) * step;
    return decimals ? Number(value.toFixed(decimals)) : value;
  });
}

/** Seconds that people count in, from *low* to *high*. */
export function timeTicks(low: number, high: number, count = 5): number[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const size = high - low;
  const step = steps.find(n => size / n <= count);
  if (size <= count || step === undefined) {
    return size <= count ? ticks(low, high, count) : ticks(low / 86400, high / 86400, count).map(d => d * 86400);
  }
  const first = Math.ceil(low / step - 1e-9);
  const most = Math.floor((high - first * step) / step + 1e-9);
  return Array.from({ length: most + 1 }, (_, i) => (first + i) * step);
}

/** Where a logarithmic axis is marked; all numbers, given and returned, are powers of ten. */
export function logTicks(low: number, high: number, count = 5): number[] {
  const size = high - low;
  if (size >= 2) {
    const every = Math.max(1, Math.ceil(size / count));
    const first = Math.ceil(low / every) * every;
    return Array.from({ length: Math.floor((high - first) / every + 1e-9) + 1 }, (_, i) => first + i * every);
  }
  if (size >= 0.7) {
    const decades = Array.from({ length: Math.floor(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
    const marks = decades.flatMap(d => [d, d + Math.log10(2), d + Math.log10(5)]);
    return marks.filter(mark => mark >= low && mark <= high);
  }
  return ticks(10 ** low, 10 ** high, count)
    .filter(value => value > 0)
    .map(Math.log10);
}
