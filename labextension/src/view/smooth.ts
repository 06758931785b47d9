// Smoothing of a curve: an exponential moving average without its bias towards zero at the start.

/**
 * Write to *out* the smoothed *values*; weight 0 is the values themselves, 0.99 a long memory.
 * What is not finite leaves a gap and is passed over.
 */
export function smooth(values: ArrayLike<number>, weight: number, out: Float64Array): Float64Array {
  let [last, debias] = [0, 1];
  const w = Math.min(Math.max(weight, 0), 0.999);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value)) {
      out[i] = Number.NaN;
      continue;
    }
    last = last * w + (1 - w) * value;
    debias *= w;
    out[i] = last / (1 - debias);
  }
  return out;
}
