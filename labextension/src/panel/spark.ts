// A curve as small as a word.  Pure: numbers in, a path out.

/** The `d` of a path through values in a box; null is a gap, and one value alone is a dot. */
export function sparkPath(values: readonly (number | null)[], width: number, height: number): string {
  const finite = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (!finite.length) {
    return '';
  }
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (i: number): number => (values.length < 2 ? width / 2 : (i / (values.length - 1)) * width);
  // what is too near to be told apart lies in the middle
  const y = (value: number): number => (high > low ? height - ((value - low) / (high - low)) * height : height / 2);
  let path = '';
  let pen = false;
  values.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) {
      pen = false;
      return;
    }
    const next = values[i + 1];
    const at = `${round(x(i))} ${round(y(value))}`;
    const alone = !pen && (next === null || next === undefined);
    path += pen ? `L${at}` : `M${at}${alone ? 'h.01' : ''}`;
    pen = true;
  });
  return path;
}

const round = (value: number): number => Math.round(value * 10) / 10;
