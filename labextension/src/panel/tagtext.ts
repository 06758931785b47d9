// Tags in a field: `name=value, other`.  Pure.

/** The tags of a text; a comma in a value is written as `\,`. */
export function tagsIn(text: string): Record<string, string> {
  const found: [string, string][] = [];
  for (const part of text.split(/(?<!\\),/)) {
    const plain = part.replaceAll('\\,', ',').trim();
    const cut = plain.indexOf('=');
    const [name, value] = cut < 0 ? [plain, ''] : [plain.slice(0, cut).trim(), plain.slice(cut + 1).trim()];
    if (name) {
      found.push([name, value]);
    }
  }
  return Object.fromEntries(found);
}

/** Tags as `tagsIn` reads them. */
export function tagsText(tags: Record<string, string>): string {
  return Object.entries(tags)
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`).replaceAll(',', '\\,'))
    .join(', ');
}
