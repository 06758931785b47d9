// Where one is in a run's page, as the address says it: `#code/train.py:12`.  Pure.

export const TABS = ['overview', 'charts', 'logs', 'files', 'code', 'system', 'children'] as const;
export type TabName = (typeof TABS)[number];

/** A tab, and what is chosen in it: a file, a rank, `diff:RUN`. */
export interface Place {
  tab: TabName;
  rest: string;
}

/** What an address' hash says; nonsense is the overview. */
export function placeOf(hash: string): Place {
  const text = hash.replace(/^#/, '');
  const cut = text.indexOf('/');
  const name = cut < 0 ? text : text.slice(0, cut);
  const tab = TABS.find(known => known === name);
  return tab ? { tab, rest: cut < 0 ? '' : decoded(text.slice(cut + 1)) } : { tab: 'overview', rest: '' };
}

/** The hash of a place; `placeOf` reads it. */
export function hashOf({ tab, rest }: Place): string {
  // a slash of a path stays legible; everything that could mean something in an address does not
  return rest ? `#${tab}/${encodeURIComponent(rest).replaceAll('%2F', '/').replaceAll('%3A', ':')}` : `#${tab}`;
}

/** A file and a line in it: `train.py:12`. */
export function fileOf(rest: string): { path: string; line: number | null } {
  const found = /^(.*):(\d{1,9})$/s.exec(rest);
  return found ? { path: found[1] as string, line: Number(found[2]) } : { path: rest, line: null };
}

/** The runs of `#compare=a,b`; none for anything else. */
export function comparedOf(hash: string): string[] {
  const found = /^#?compare=(.*)$/.exec(hash);
  return found ? [...new Set(decoded(found[1] as string).split(',').filter(Boolean))] : [];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
