import { assert } from "../../base/error.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
import { blockBytes } from "../sparse-blocks.ts";
import type { SegmentFiles } from "./recipe-reader.ts";
import { writeRaw } from "./write-raw.ts";

/** Writes the disk as a qcow2 file; see `qcow2Recipe`. Gives the bytes written; throws as `writeRaw` does. */
export function writeQcow2(recipe: DiskRecipe, path: string, files: SegmentFiles): number {
  return writeRaw(qcow2Recipe(recipe), path, files);
}

/**
 * The qcow2 file of a disk, itself as a recipe: tables of ours, and the disk's own extents moved to their
 * clusters. Version 3, clusters of 64 KiB, 16-bit reference counts (QEMU's docs/interop/qcow2.txt).
 * Clusters that no extent touches are not allocated and read as zeros.
 */
export function qcow2Recipe(recipe: DiskRecipe): DiskRecipe {
  return qcow2File(recipe, { clusterBits: 16, hasSubclusters: false, zeros: [] }).file;
}

export interface Backing {
  readonly file: string;
  readonly format: "raw" | "qcow2";
}

export interface Qcow2Layer {
  /** Shown where this one says nothing. `file`: path relative to this one's folder. */
  readonly backing?: Backing;
  /** In order: what reads as zeros whatever lies below. Whole blocks of 4 KiB. */
  readonly zeros?: readonly { readonly start: number; readonly length: number }[];
}

/**
 * A qcow2 file that lies over another and says of every block of 4 KiB by itself whether it holds it, whether it is
 * zeros, or whether the other is asked: clusters of 128 KiB with 32 subclusters ("Extended L2 entries"; QEMU 5.2). A
 * block that an extent touches is held whole, and zeros where no extent is.
 */
export function qcow2Layer(recipe: DiskRecipe, layer: Qcow2Layer): Qcow2File {
  const form = { clusterBits: 17, hasSubclusters: true, zeros: layer.zeros ?? [] };
  return qcow2File(recipe, layer.backing === undefined ? form : { ...form, backing: layer.backing });
}

export interface Qcow2File {
  readonly file: DiskRecipe;
  /** Extents of the disk, in order, where they lie in the file. */
  readonly moved: readonly Extent[];
}

interface Form {
  readonly clusterBits: number;
  readonly hasSubclusters: boolean;
  readonly backing?: Backing;
  readonly zeros: readonly { readonly start: number; readonly length: number }[];
}

function qcow2File(recipe: DiskRecipe, form: Form): Qcow2File {
  assert(recipe.size % 512 === 0, "a disk is made of sectors");
  const shape = shapeOf(form);
  const runs = clusterRuns(recipe, shape);
  const layout = layOut(recipe.size, runs, form, shape);
  const tables = Buffer.alloc(layout.dataStart * shape.clusterBytes);
  writeHeader(tables, recipe.size, form, layout, shape);
  writeReferenceCounts(tables, layout, shape);
  writeMapping(tables, runs, layout, shape);
  if (form.hasSubclusters) writeSubclusters(tables, recipe, form, layout, shape);
  const moved = moveExtents(recipe.extents, runs, layout.dataStart, shape);
  return { file: diskRecipe(layout.clusters * shape.clusterBytes, [...writtenBlocks(tables), ...moved]), moved };
}

type Shape = ReturnType<typeof shapeOf>;

function shapeOf({ clusterBits, hasSubclusters }: Form) {
  const clusterBytes = 1 << clusterBits;
  const entryBytes = hasSubclusters ? 16 : 8;
  return {
    clusterBytes,
    entryBytes,
    entriesPerTable: clusterBytes / entryBytes,
    /** Of the first-level and the reference table, whose entries are always of 8 bytes. */
    entriesPerPlainTable: clusterBytes / 8,
    countsPerBlock: clusterBytes / 2,
  };
}

/** Clusters of the disk that lie side by side, and the place of the first among the file's data clusters. */
interface Run {
  readonly guest: number;
  readonly count: number;
  readonly place: number;
}

function clusterRuns(recipe: DiskRecipe, { clusterBytes }: Shape): Run[] {
  const runs: Run[] = [];
  let place = 0;
  for (const { start, length } of recipe.extents) {
    const last = runs.at(-1);
    const end = Math.ceil((start + length) / clusterBytes);
    const first = Math.max(Math.floor(start / clusterBytes), last ? last.guest + last.count : 0);
    const fresh = Math.max(0, end - first);
    if (last && first === last.guest + last.count) runs[runs.length - 1] = { ...last, count: last.count + fresh };
    else runs.push({ guest: first, count: fresh, place });
    place += fresh;
  }
  return runs;
}

type Layout = ReturnType<typeof layOut>;

/** In clusters: header, reference table, reference blocks, L1 table, L2 tables, data. */
function layOut(size: number, runs: readonly Run[], { zeros }: Form, shape: Shape) {
  const { clusterBytes, entriesPerTable, entriesPerPlainTable, countsPerBlock } = shape;
  const guestClusters = Math.ceil(size / clusterBytes);
  const l1Entries = Math.ceil(guestClusters / entriesPerTable);
  const l1Clusters = Math.max(1, Math.ceil(l1Entries / entriesPerPlainTable));
  const used = new Set<number>();
  const use = (first: number, end: number): void => {
    for (let table = Math.floor(first / entriesPerTable); table * entriesPerTable < end; table++) used.add(table);
  };
  for (const { guest, count } of runs) use(guest, guest + count);
  for (const { start, length } of zeros) use(Math.floor(start / clusterBytes), (start + length) / clusterBytes);
  const l2Tables = [...used].sort((a, b) => a - b);
  const data = runs.reduce((sum, run) => sum + run.count, 0);
  const others = 1 + l1Clusters + l2Tables.length + data;
  // Reference blocks count themselves and their table: grow until nothing is left out.
  let countBlocks = 1;
  let countTable = 1;
  while (
    countBlocks * countsPerBlock < others + countBlocks + countTable ||
    countTable * entriesPerPlainTable < countBlocks
  ) {
    if (countTable * entriesPerPlainTable < countBlocks) countTable++;
    else countBlocks++;
  }
  const blocksStart = 1 + countTable;
  const l1Start = blocksStart + countBlocks;
  const l2Start = l1Start + l1Clusters;
  const dataStart = l2Start + l2Tables.length;
  const clusters = dataStart + data;
  const l2At = new Map(l2Tables.map((table, index) => [table, (l2Start + index) * clusterBytes]));
  return { countTable, countBlocks, blocksStart, l1Entries, l1Start, l2At, dataStart, clusters };
}

/** Incompatible feature: each entry of an L2 table is followed by two bits for each subcluster. */
const extendedL2 = 0x10;
/** Header extension "Backing file format name". */
const backingFormatExtension = 0xe2792aca;
const headerBytes = 104;

function writeHeader(file: Buffer, size: number, form: Form, layout: Layout, { clusterBytes }: Shape): void {
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(form.clusterBits, 20);
  file.writeBigUInt64BE(BigInt(size), 24);
  file.writeUInt32BE(layout.l1Entries, 36);
  file.writeBigUInt64BE(BigInt(layout.l1Start * clusterBytes), 40);
  file.writeBigUInt64BE(BigInt(clusterBytes), 48);
  file.writeUInt32BE(layout.countTable, 56);
  if (form.hasSubclusters) file.writeUInt32BE(extendedL2, 76);
  // refcount_order 4: counts of 16 bits. Extensions follow the header; their end mark is zero.
  file.writeUInt32BE(4, 96);
  file.writeUInt32BE(headerBytes, 100);
  if (form.backing === undefined) return;
  file.writeUInt32BE(backingFormatExtension, headerBytes);
  file.writeUInt32BE(form.backing.format.length, headerBytes + 4);
  file.write(form.backing.format, headerBytes + 8);
  const nameAt = headerBytes + 8 + 8 + 8;
  const name = Buffer.from(form.backing.file);
  assert(name.length > 0 && name.length < 1024, "a backing file's name has 1 to 1023 bytes");
  file.writeBigUInt64BE(BigInt(nameAt), 8);
  file.writeUInt32BE(name.length, 16);
  file.set(name, nameAt);
}

function writeReferenceCounts(file: Buffer, layout: Layout, { clusterBytes, countsPerBlock }: Shape): void {
  for (let block = 0; block < layout.countBlocks; block++) {
    const at = (layout.blocksStart + block) * clusterBytes;
    file.writeBigUInt64BE(BigInt(at), clusterBytes + block * 8);
    const counted = Math.min(countsPerBlock, layout.clusters - block * countsPerBlock);
    for (let i = 0; i < counted; i++) file.writeUInt16BE(1, at + i * 2);
  }
}

/** Both kinds of table. */
function writeMapping(file: Buffer, runs: readonly Run[], layout: Layout, shape: Shape): void {
  const { clusterBytes, entryBytes, entriesPerTable } = shape;
  for (const [table, at] of layout.l2At) writePointer(file, layout.l1Start * clusterBytes + table * 8, at);
  for (const { guest, count, place } of runs) {
    for (let i = 0; i < count; i++) {
      const table = layout.l2At.get(Math.floor((guest + i) / entriesPerTable))!;
      const entry = table + ((guest + i) % entriesPerTable) * entryBytes;
      writePointer(file, entry, (layout.dataStart + place + i) * clusterBytes);
    }
  }
}

/** With the mark "refcount is exactly one": the cluster belongs to no snapshot. */
function writePointer(file: Buffer, at: number, target: number): void {
  file.writeUInt32BE((Math.floor(target / 2 ** 32) | 0x80000000) >>> 0, at);
  file.writeUInt32BE(target % 2 ** 32, at + 4);
}

/** Bits of the blocks that are held, and of those that are zeros: the lower and upper half of an entry's second word. */
function writeSubclusters(file: Buffer, recipe: DiskRecipe, form: Form, layout: Layout, shape: Shape): void {
  const blocksPerCluster = shape.clusterBytes / blockBytes;
  const mark = (start: number, length: number, half: number): void => {
    const end = Math.ceil((start + length) / blockBytes);
    for (let block = Math.floor(start / blockBytes); block < end; ) {
      const cluster = Math.floor(block / blocksPerCluster);
      const stop = Math.min(end, (cluster + 1) * blocksPerCluster);
      const first = block % blocksPerCluster;
      const count = stop - block;
      const bits = (count === 32 ? 0xffffffff : (2 ** count - 1) * 2 ** first) >>> 0;
      const table = layout.l2At.get(Math.floor(cluster / shape.entriesPerTable))!;
      const at = table + (cluster % shape.entriesPerTable) * shape.entryBytes + 8 + half;
      file.writeUInt32BE((file.readUInt32BE(at) | bits) >>> 0, at);
      block = stop;
    }
  };
  for (const { start, length } of recipe.extents) mark(start, length, 4);
  for (const { start, length } of form.zeros) {
    assert(start % blockBytes === 0 && length % blockBytes === 0, "zeros are told in whole blocks");
    mark(start, length, 0);
  }
}

/** Every extent lies inside one run, since it makes the clusters it touches neighbours. */
function moveExtents(
  extents: readonly Extent[],
  runs: readonly Run[],
  dataStart: number,
  { clusterBytes }: Shape,
): Extent[] {
  let index = 0;
  return extents.map((extent) => {
    while (extent.start >= (runs[index]!.guest + runs[index]!.count) * clusterBytes) index++;
    const run = runs[index]!;
    return { ...extent, start: extent.start + (dataStart + run.place - run.guest) * clusterBytes };
  });
}

const zeroBlock = Buffer.alloc(blockBytes);

/** Tables are mostly zeros: only blocks that say something are written. */
function writtenBlocks(tables: Buffer): Extent[] {
  const extents: Extent[] = [];
  let from = -1;
  for (let at = 0; at <= tables.length; at += blockBytes) {
    const says = at < tables.length && !zeroBlock.equals(tables.subarray(at, at + blockBytes));
    if (says && from < 0) from = at;
    if (says || from < 0) continue;
    extents.push({ start: from, length: at - from, source: { kind: "bytes", bytes: tables.subarray(from, at) } });
    from = -1;
  }
  return extents;
}
