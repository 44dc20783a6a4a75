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
  return [...items].sort((a, b) => compareBytes(key(a), key(b)));
}
