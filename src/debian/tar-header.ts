import { failure } from "../base/error.ts";

/** One header block of a tar archive as it stands there, before any extended header is applied. */
export interface TarHeader {
  /** Type flag: `0` for a regular file, `L` for a GNU long name, `x` for PAX records. */
  readonly type: string;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  readonly group: string;
  /** Bytes of content that follow. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

export const tarBlockBytes = 512;

/**
 * Parses a block by the layout of POSIX.1-2017 `pax`, "ustar Interchange Format", with GNU's base-256 numbers.
 *
 * @throws MesoError `corrupt-archive` for a wrong checksum or a field that is no number or text.
 */
export function parseTarHeader(block: Uint8Array): TarHeader {
  if (checksumOf(block) !== numberAt(block, 148, 8)) throw corruptTar("a header has a wrong checksum");
  const magic = Buffer.from(block.buffer, block.byteOffset + 257, 8).toString("latin1");
  const isUstar = magic.startsWith("ustar\0");
  const isKnown = isUstar || magic === "ustar  \0";
  const prefix = isUstar ? textAt(block, 345, 155) : "";
  const name = textAt(block, 0, 100);
  return {
    type: block[156] === 0 ? "0" : String.fromCharCode(block[156]!),
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: textAt(block, 157, 100),
    mode: numberAt(block, 100, 8),
    uid: numberAt(block, 108, 8),
    gid: numberAt(block, 116, 8),
    size: numberAt(block, 124, 12),
    mtime: numberAt(block, 136, 12),
    user: isKnown ? textAt(block, 265, 32) : "",
    group: isKnown ? textAt(block, 297, 32) : "",
  };
}

export function corruptTar(why: string) {
  return failure("corrupt-archive", `its tar member cannot be read: ${why}`, {
    expected: "a whole ustar, GNU or PAX tar",
  });
}

/**
 * UTF-8 text. Debian Policy 10.10 demands it of file names, and a name that is not could not be told in JSON.
 *
 * @throws MesoError `corrupt-archive` for other bytes.
 */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw corruptTar(`${JSON.stringify(Buffer.from(bytes).toString("latin1"))} is not UTF-8`);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textAt(block: Uint8Array, start: number, length: number): string {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return end === start ? "" : utf8Text(block.subarray(start, end));
}

const space = 0x20;

function numberAt(block: Uint8Array, start: number, length: number): number {
  if ((block[start]! & 0x80) !== 0) return binaryNumberAt(block, start, length);
  let value = 0;
  let at = start;
  const end = start + length;
  while (at < end && block[at] === space) at++;
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end; at++) {
    if (block[at] !== 0 && block[at] !== space) throw corruptTar("a header holds a malformed number");
  }
  return value;
}

/** GNU: the top bit of the first byte set, the rest one big-endian number; negative ones are of no use here. */
function binaryNumberAt(block: Uint8Array, start: number, length: number): number {
  let value = block[start]! & 0x7f;
  for (let at = start + 1; at < start + length; at++) value = value * 256 + block[at]!;
  if (!Number.isSafeInteger(value)) throw corruptTar("a header holds a negative or absurd number");
  return value;
}

/** Sum of all bytes, those of the checksum itself taken as spaces. */
function checksumOf(block: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < tarBlockBytes; i++) sum += block[i]!;
  for (let i = 148; i < 156; i++) sum += space - block[i]!;
  return sum;
}
