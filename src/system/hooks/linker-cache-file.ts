import { assert } from "../../base/error.ts";

/** One line of what `ldconfig -p` prints. */
export interface CachedLibrary {
  /** As programs ask for it: its soname, or the name of a link. */
  readonly name: string;
  readonly path: string;
  /** Kind of library and processor: FLAG_… of glibc's sysdeps/generic/ldconfig.h. */
  readonly flags: number;
}

/**
 * The bytes of /etc/ld.so.cache with these libraries, byte for byte as ldconfig of glibc 2.33 to 2.41 writes them
 * ("cache_file_new" with an extension: sysdeps/generic/dl-cache.h), for little-endian machines.
 *
 * @param libraries directory by directory, in the order in which these are searched.
 * @param generator the line that names the program.
 */
export function linkerCacheFile(libraries: readonly CachedLibrary[], generator: string): Uint8Array {
  const sorted = libraries.toSorted(compareLibraries);
  const entriesEnd = headerBytes + sorted.length * entryBytes;
  const strings = stringTable(sorted.flatMap(({ name, path }) => [name, path]));
  const extension = Math.ceil((entriesEnd + strings.bytes.length) / 4) * 4;
  const text = Buffer.from(generator);
  const file = Buffer.alloc(extension + extensionBytes + text.length);

  file.write("glibc-ld.so.cache1.1", "latin1");
  file.writeUInt32LE(sorted.length, 20);
  file.writeUInt32LE(strings.bytes.length, 24);
  file.writeUInt8(littleEndian, 28);
  file.writeUInt32LE(extension, 32);
  for (const [index, { name, path, flags }] of sorted.entries()) {
    const at = headerBytes + index * entryBytes;
    file.writeUInt32LE(flags, at);
    file.writeUInt32LE(entriesEnd + strings.offsetOf(name), at + 4);
    file.writeUInt32LE(entriesEnd + strings.offsetOf(path), at + 8);
  }
  file.set(strings.bytes, entriesEnd);
  // One section, of the kind 0: who made the file.
  file.writeUInt32LE(extensionMagic, extension);
  file.writeUInt32LE(1, extension + 4);
  file.writeUInt32LE(extension + extensionBytes, extension + 16);
  file.writeUInt32LE(text.length, extension + 20);
  file.set(text, extension + extensionBytes);
  return file;
}

const headerBytes = 48;
const entryBytes = 24;
const littleEndian = 2;
const extensionMagic = 0xeaa42174;
const extensionBytes = 24;

/** The dynamic linker halves its way through the names, by this order, the last first. */
function compareLibraries(a: CachedLibrary, b: CachedLibrary): number {
  return compareLibraryNames(b.name, a.name) || b.flags - a.flags;
}

/** Numbers by their value, and before them what is none; all else byte by byte (`_dl_cache_libcmp`). */
export function compareLibraryNames(a: string, b: string): number {
  const digits = /^[0-9]+/;
  let i = 0;
  let j = 0;
  while (i < a.length) {
    const left = digits.exec(a.slice(i))?.[0];
    const right = digits.exec(b.slice(j))?.[0];
    if (left !== undefined && right !== undefined) {
      // As numbers of 32 bits, signed: what is larger wraps there.
      const difference = (Number(BigInt.asIntN(32, BigInt(left))) - Number(BigInt.asIntN(32, BigInt(right)))) | 0;
      if (difference !== 0) return difference;
      i += left.length;
      j += right.length;
    } else if (left !== undefined) return 1;
    else if (right !== undefined) return -1;
    else {
      const difference = a.charCodeAt(i) - (j < b.length ? b.charCodeAt(j) : 0);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
  }
  return j < b.length ? -b.charCodeAt(j) : 0;
}

/** Each string once, ended by a zero; one that another ends with lies in that one (elf/stringtable.c). */
function stringTable(strings: readonly string[]) {
  const wanted = [...new Set(strings)].map((text) => ({ text, bytes: Buffer.from(text) }));
  wanted.sort((a, b) => compareFromTheEnd(a.bytes, b.bytes));
  const offsets = new Map<string, number>();
  const parts: Buffer[] = [];
  let end = 0;
  let before: Buffer = Buffer.alloc(0);
  for (const { text, bytes } of wanted) {
    const isWithin = before.subarray(Math.max(0, before.length - bytes.length)).equals(bytes);
    if (!isWithin) {
      parts.push(bytes, zero);
      end += bytes.length + 1;
    }
    offsets.set(text, end - 1 - bytes.length);
    before = bytes;
  }
  return {
    bytes: Buffer.concat(parts),
    offsetOf: (text: string): number => {
      const offset = offsets.get(text);
      assert(offset !== undefined, `${text} is in the table`);
      return offset;
    },
  };
}

const zero = Buffer.alloc(1);

function compareFromTheEnd(a: Buffer, b: Buffer): number {
  for (let i = 1; i <= Math.min(a.length, b.length); i++) {
    const difference = b[b.length - i]! - a[a.length - i]!;
    if (difference !== 0) return difference;
  }
  return b.length - a.length;
}
