import { failure } from "../../base/error.ts";
import { type Placeable, place } from "../placement.ts";
import { roomToGrow } from "../room-to-grow.ts";
import { blockBytes } from "../sparse-blocks.ts";

/**
 * Where things lie in the address space of an EROFS. Each kind of metadata has a zone with a fixed start, and
 * inside it an address from its own key. All offsets are bytes within the file system; with 1 GiB of metadata:
 *
 *     0        superblock, root inode
 *     512 KiB  slots: inodes outside packages, with short contents inline; one zone for each slot size
 *     32 MiB   wider zones for slots, where a system has more of them than the first zones like
 *     256 MiB  runs: the inodes of one package's files, together
 *     512 MiB  blocks: large directories, large generated files
 *     1 GiB    whole segments, placed by the caller
 */

const mebibyte = 2 ** 20;

/**
 * Where whole segments may be placed in a file system of `size` bytes: start and length in bytes. Constant for
 * a given size; from 4 GiB on it starts at 1 GiB.
 *
 * @throws MesoError `image-too-small` below 256 MiB or above what 32-bit block addresses reach.
 */
export function erofsDataRegion(size: number): { start: number; length: number } {
  if (!Number.isSafeInteger(size) || size < 256 * mebibyte || size > largestSize || size % blockBytes !== 0) {
    throw failure("image-too-small", `an EROFS of ${size} bytes`, {
      expected: `a multiple of ${blockBytes} from ${256 * mebibyte} to ${largestSize} bytes`,
      hint: "the size is an address space, not disk usage: a larger one costs nothing",
    });
  }
  const quarter = Math.floor(size / 4 / blockBytes) * blockBytes;
  const start = Math.min(1024 * mebibyte, Math.max(128 * mebibyte, quarter));
  return { start, length: size - start };
}

/** Block addresses have 32 bits, and all ones means "none". */
const largestSize = 0xffff_f000 * blockBytes;

/**
 * Sizes in bytes of the slots for inodes with what follows them inline. An inode keeps its slot, and so its
 * number, while it grows within the size: its parents and children need no rewriting.
 */
const slotZones = [
  { slotBytes: 64, start: 0.5 * mebibyte, length: 0.5 * mebibyte },
  { slotBytes: 128, start: 1 * mebibyte, length: 1 * mebibyte },
  { slotBytes: 256, start: 2 * mebibyte, length: 0.5 * mebibyte },
  { slotBytes: 512, start: 2.5 * mebibyte, length: 0.5 * mebibyte },
  { slotBytes: 1024, start: 3 * mebibyte, length: 0.5 * mebibyte },
  { slotBytes: 2048, start: 3.5 * mebibyte, length: 0.5 * mebibyte },
] as const;

export const largestSlotBytes = 2048;

/** The smallest slot size that holds `bytes`, which must be at most `largestSlotBytes`. */
export function slotBytesFor(bytes: number): number {
  for (const { slotBytes } of slotZones) if (bytes <= slotBytes) return slotBytes;
  throw new RangeError(`no slot holds ${bytes} bytes`);
}

/** Byte offsets, by key, for slots of one size. A slot never crosses a block boundary. */
export function placeSlots(slotBytes: number, keys: readonly string[], size: number): Map<string, number> {
  const index = slotZones.findIndex((each) => each.slotBytes === slotBytes);
  const first = slotZones[index]!;
  const need = keys.length * slotBytes;
  const metadata = erofsDataRegion(size).start;
  const isWide = need * roominess > first.length;
  const zone = isWide
    ? { start: wholeBlocks((metadata * (index + 1)) / 32), length: wholeBlocks(metadata / 32) }
    : { start: first.start, length: first.length };
  return placeInZone(
    keys.map((key) => ({ key, units: 1 })),
    slotBytes,
    { start: zone.start, length: isWide ? spread(need, first.length * 4, zone.length) : zone.length },
  );
}

/** Byte offsets, by key, for the inode runs of packages; units are blocks. */
export function placeRuns(runs: readonly Placeable[], size: number): Map<string, number> {
  const metadata = erofsDataRegion(size).start;
  return placeBlocks(runs, { start: wholeBlocks(metadata / 4), length: wholeBlocks(metadata / 4) });
}

/** Byte offsets, by key, for directories and generated files with blocks of their own; units are blocks. */
export function placeData(items: readonly Placeable[], size: number): Map<string, number> {
  const metadata = erofsDataRegion(size).start;
  const roomy = items.map(({ key, units }) => ({ key, units: roomToGrow(units) }));
  return placeBlocks(roomy, { start: wholeBlocks(metadata / 2), length: wholeBlocks(metadata / 2) });
}

function placeBlocks(items: readonly Placeable[], zone: Zone): Map<string, number> {
  let need = 0;
  for (const item of items) need += item.units * blockBytes;
  return placeInZone(items, blockBytes, { start: zone.start, length: spread(need, 16 * mebibyte, zone.length) });
}

interface Zone {
  readonly start: number;
  readonly length: number;
}

function placeInZone(items: readonly Placeable[], unitBytes: number, zone: Zone): Map<string, number> {
  const units = place(items, { start: 0, length: Math.floor(zone.length / unitBytes) });
  for (const [key, unit] of units) units.set(key, zone.start + unit * unitBytes);
  return units;
}

/** A zone is at least this many times what lies in it, so that few items contend for an address. */
const roominess = 2;

/**
 * How much of a zone to use, in bytes: little enough to touch few of a pool's objects, and in coarse steps,
 * since every address inside changes with it.
 */
function spread(need: number, least: number, most: number): number {
  let length = least;
  while (length < need * roominess) length *= 4;
  return Math.min(length, most);
}

function wholeBlocks(bytes: number): number {
  return Math.floor(bytes / blockBytes) * blockBytes;
}
