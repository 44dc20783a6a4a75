/**
 * Order of two strings by their UTF-8 bytes, as `LC_ALL=C sort` does. JavaScript's own order is by UTF-16
 * unit and differs above U+FFFF; surrogates are lifted above the rest of the plane to agree with UTF-8.
 */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** A sorted copy, by UTF-8 bytes of `key` (the item itself when it is a string). */
export function sortedBy<T>(items: Iterable<T>, key: (item: T) => string): T[] {
  const keyed = Array.from(items, (item) => ({ key: key(item), item }));
  // The engine's own comparison is many times faster, and leaves the second sort nearly nothing to do.
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).sort((a, b) => compareBytes(a.key, b.key));
  return keyed.map(({ item }) => item);
}
