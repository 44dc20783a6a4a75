/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4) as the kernel's `crc32c(~0, …)` gives it, and ext4 and EROFS store it:
 * without the final inversion, so that a checksum is the seed of the next. Start with `initialCrc`.
 */
export function crc32c(seed: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = seed;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      tables[0x700 + (crc & 0xff)]! ^
      tables[0x600 + ((crc >>> 8) & 0xff)]! ^
      tables[0x500 + ((crc >>> 16) & 0xff)]! ^
      tables[0x400 + (crc >>> 24)]! ^
      tables[0x300 + bytes[at + 4]!]! ^
      tables[0x200 + bytes[at + 5]!]! ^
      tables[0x100 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = tables[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return crc >>> 0;
}

/** CRC-32C of the four bytes of a little-endian number: inode numbers, generations and group numbers seed checksums. */
export function crc32cOfNumber(seed: number, value: number): number {
  const crc = seed ^ value;
  return (
    (tables[0x300 + (crc & 0xff)]! ^
      tables[0x200 + ((crc >>> 8) & 0xff)]! ^
      tables[0x100 + ((crc >>> 16) & 0xff)]! ^
      tables[crc >>> 24]!) >>>
    0
  );
}

/**
 * The checksum after `count` more bytes of zero, in a few steps instead of one for each eight: most of a directory's
 * block, and the end of an inode, is empty.
 *
 * @param count Less than 8192.
 */
export function crc32cOfZeros(seed: number, count: number): number {
  let crc = seed;
  for (let power = 0; count >> power !== 0; power++) {
    if ((count >> power) & 1) crc = advanced(zeroTables, power * 1024, crc);
  }
  return crc >>> 0;
}

export const initialCrc = 0xffffffff;

function advanced(table: Int32Array, at: number, crc: number): number {
  return (
    table[at + (crc & 0xff)]! ^
    table[at + 256 + ((crc >>> 8) & 0xff)]! ^
    table[at + 512 + ((crc >>> 16) & 0xff)]! ^
    table[at + 768 + (crc >>> 24)]!
  );
}

/** Eight tables of 256: table k advances a byte by k further zero bytes, so that eight bytes take one step. */
const tables = makeTables();

function makeTables(): Int32Array {
  const polynomial = 0x82f63b78;
  const made = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    made[byte] = crc;
  }
  for (let i = 256; i < made.length; i++) {
    const before = made[i - 256]!;
    made[i] = made[before & 0xff]! ^ (before >>> 8);
  }
  return made;
}

/** Table k advances a checksum by 2 ** k zero bytes: four times 256 entries, one for each of its bytes. */
const zeroTables = makeZeroTables();

function makeZeroTables(): Int32Array {
  const made = new Int32Array(13 * 1024);
  for (let i = 0; i < 1024; i++) {
    const crc = (i & 0xff) << ((i >> 8) * 8);
    made[i] = tables[crc & 0xff]! ^ (crc >>> 8);
  }
  for (let i = 1024; i < made.length; i++) made[i] = advanced(made, ((i >> 10) - 1) * 1024, made[i - 1024]!);
  return made;
}
