import type { DiskRange } from "../../image/extent.ts";
import type { Ranges } from "./ranges.ts";
import { objectBytes } from "./rbd-driver.ts";

/**
 * The ranges without their longer runs of zeros, for where nothing was written yet and zeros are read anyway: most folders
 * of a file system fill a small part of their block. Starts and lengths stay multiples of a sector, as long as they were.
 *
 * @param read gives the bytes of a range.
 */
export function withoutZeroRuns(ranges: Ranges, read: (range: DiskRange) => Uint8Array): DiskRange[] {
  const result: DiskRange[] = [];
  for (const { start, length } of ranges) {
    for (let done = 0; done < length; done += pieceBytes) {
      const piece = { start: start + done, length: Math.min(pieceBytes, length - done) };
      const bytes = read(piece);
      addParts(result, piece.start, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    }
  }
  return result;
}

const sectorBytes = 512;
/** Shorter runs are written: a further extent costs the OSD more. */
const leastSectors = 4;
/** How much is looked at in one go. */
const pieceBytes = 1 << 20;
const zeroSector = Buffer.alloc(sectorBytes);

/** Appends what of the bytes, which lie at `start`, is not in a long run of zeros; joins it to what comes right before. */
function addParts(result: DiskRange[], start: number, bytes: Buffer): void {
  let from: number | undefined;
  let zeros = 0;
  const add = (end: number) => {
    if (from === undefined) return;
    const last = result.at(-1);
    const part = { start: start + from, length: end - from };
    if (
      last &&
      last.start + last.length === part.start &&
      Math.floor(last.start / objectBytes) === Math.floor(part.start / objectBytes)
    ) {
      result[result.length - 1] = { start: last.start, length: last.length + part.length };
    } else result.push(part);
    from = undefined;
  };
  for (let at = 0; at < bytes.length; at += sectorBytes) {
    const end = Math.min(at + sectorBytes, bytes.length);
    const isZero = bytes.subarray(at, end).equals(zeroSector.subarray(0, end - at));
    zeros = isZero ? zeros + 1 : 0;
    if (!isZero) from ??= at;
    else if (zeros === leastSectors) add(at + sectorBytes - zeros * sectorBytes);
  }
  add(bytes.length - zeros * sectorBytes);
}
