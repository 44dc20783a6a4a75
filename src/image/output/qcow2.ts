import { assert } from "../../base/error.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
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
  assert(recipe.size % 512 === 0, "a disk is made of sectors");
  const runs = clusterRuns(recipe);
  const layout = layOut(recipe.size, runs);
  const tables = Buffer.alloc(layout.dataStart * clusterBytes);
  writeHeader(tables, recipe.size, layout);
  writeReferenceCounts(tables, layout);
  writeMapping(tables, runs, layout);
  const extents = moveExtents(recipe.extents, runs, layout.dataStart);
  const metadata: Extent = { start: 0, length: tables.length, source: { kind: "bytes", bytes: tables } };
  return diskRecipe(layout.clusters * clusterBytes, [metadata, ...extents]);
}

const clusterBits = 16;
const clusterBytes = 1 << clusterBits;
const entriesPerTable = clusterBytes / 8;
const countsPerBlock = clusterBytes / 2;
/** "refcount is exactly one": the cluster belongs to no snapshot. */
const copied = 1n << 63n;

/** Clusters of the disk that lie side by side, and the place of the first among the file's data clusters. */
interface Run {
  readonly guest: number;
  readonly count: number;
  readonly place: number;
}

function clusterRuns(recipe: DiskRecipe): Run[] {
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
function layOut(size: number, runs: readonly Run[]) {
  const guestClusters = Math.ceil(size / clusterBytes);
  const l1Entries = Math.ceil(guestClusters / entriesPerTable);
  const l1Clusters = Math.max(1, Math.ceil(l1Entries / entriesPerTable));
  const used = new Set<number>();
  for (const { guest, count } of runs) {
    for (let table = Math.floor(guest / entriesPerTable); table * entriesPerTable < guest + count; table++)
      used.add(table);
  }
  const l2Tables = [...used].sort((a, b) => a - b);
  const data = runs.reduce((sum, run) => sum + run.count, 0);
  const others = 1 + l1Clusters + l2Tables.length + data;
  // Reference blocks count themselves and their table: grow until nothing is left out.
  let countBlocks = 1;
  let countTable = 1;
  while (
    countBlocks * countsPerBlock < others + countBlocks + countTable ||
    countTable * entriesPerTable < countBlocks
  ) {
    if (countTable * entriesPerTable < countBlocks) countTable++;
    else countBlocks++;
  }
  const blocksStart = 1 + countTable;
  const l1Start = blocksStart + countBlocks;
  const l2Start = l1Start + l1Clusters;
  const dataStart = l2Start + l2Tables.length;
  const clusters = dataStart + data;
  return { countTable, countBlocks, blocksStart, l1Entries, l1Start, l2Tables, l2Start, dataStart, clusters };
}

function writeHeader(file: Buffer, size: number, layout: Layout): void {
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(clusterBits, 20);
  file.writeBigUInt64BE(BigInt(size), 24);
  file.writeUInt32BE(layout.l1Entries, 36);
  file.writeBigUInt64BE(BigInt(layout.l1Start * clusterBytes), 40);
  file.writeBigUInt64BE(BigInt(clusterBytes), 48);
  file.writeUInt32BE(layout.countTable, 56);
  // refcount_order 4: counts of 16 bits; header_length 104: no extensions but the end mark, which is zero.
  file.writeUInt32BE(4, 96);
  file.writeUInt32BE(104, 100);
}

function writeReferenceCounts(file: Buffer, layout: Layout): void {
  for (let block = 0; block < layout.countBlocks; block++) {
    const at = (layout.blocksStart + block) * clusterBytes;
    file.writeBigUInt64BE(BigInt(at), clusterBytes + block * 8);
    const counted = Math.min(countsPerBlock, layout.clusters - block * countsPerBlock);
    for (let i = 0; i < counted; i++) file.writeUInt16BE(1, at + i * 2);
  }
}

function writeMapping(file: Buffer, runs: readonly Run[], layout: Layout): void {
  const tableAt = new Map(layout.l2Tables.map((table, index) => [table, (layout.l2Start + index) * clusterBytes]));
  for (const [table, at] of tableAt) {
    file.writeBigUInt64BE(BigInt(at) | copied, layout.l1Start * clusterBytes + table * 8);
  }
  for (const { guest, count, place } of runs) {
    for (let i = 0; i < count; i++) {
      const table = tableAt.get(Math.floor((guest + i) / entriesPerTable))!;
      const entry = table + ((guest + i) % entriesPerTable) * 8;
      file.writeBigUInt64BE(BigInt((layout.dataStart + place + i) * clusterBytes) | copied, entry);
    }
  }
}

/** Every extent lies inside one run, since it makes the clusters it touches neighbours. */
function moveExtents(extents: readonly Extent[], runs: readonly Run[], dataStart: number): Extent[] {
  let index = 0;
  return extents.map((extent) => {
    while (extent.start >= (runs[index]!.guest + runs[index]!.count) * clusterBytes) index++;
    const run = runs[index]!;
    return { ...extent, start: extent.start + (dataStart + run.place - run.guest) * clusterBytes };
  });
}
