import { assert } from "../../base/error.ts";
import type { Extent } from "../extent.ts";
import { type Placeable, place } from "../placement.ts";
import { leafBlocksNeeded } from "./extent-tree.ts";
import { blockBytes, type Geometry, inodesPerBlock, type Region } from "./geometry.ts";
import type { Node } from "./node.ts";

/** The file system's own directories have numbers of their own ("Special inodes"). */
export const rootInode = 2;
export const lostAndFoundInode = 11;

export interface SegmentRoom {
  /** Data bytes of each segment. */
  readonly segments: ReadonlyMap<string, number>;
  /** Byte offset of each segment within the file system. */
  readonly segmentPlacement: ReadonlyMap<string, number>;
}

/**
 * Gives every node its inode number and its blocks, so that a change of the tree moves little else: what a segment
 * brings gets a run of inodes keyed by the segment's first path, all else a number keyed by its own path, and so do
 * the blocks of directories and of generated files. Only `nodes` (sorted by path) decide.
 *
 * @returns Extents of the contents that lie within the places of their segments.
 * @throws MesoError `no-room`, `file-too-large`.
 */
export function layOut(nodes: readonly Node[], shape: Geometry, room: SegmentRoom): Extent[] {
  const runs = segmentRuns(nodes);
  placeInodes(nodes, runs, shape);
  const extents = [...runs].flatMap(([segment, run]) => placeSegmentContents(segment, run, room));
  placeBlocks(nodes, shape);
  return extents;
}

function placeInodes(nodes: readonly Node[], segmentRuns: SegmentRuns, shape: Geometry): void {
  const runs = [...segmentRuns.values()];
  // In table blocks of 16 inodes, so that no two segments share one.
  const items = runs.map((run) => ({ key: run[0]!.path, units: roomy(Math.ceil(run.length / inodesPerBlock)) }));
  const all: Region = {
    start: (shape.segmentInodes.start - 1) / inodesPerBlock,
    length: shape.segmentInodes.length / inodesPerBlock,
  };
  const tableBlocks = place(items, capacity(all, total(items), { least: 16384, spread: 16 }));
  for (const run of runs) {
    const first = tableBlocks.get(run[0]!.path)! * inodesPerBlock + 1;
    run.forEach((node, i) => {
      node.inode = first + i;
    });
  }

  const single: Node[] = [];
  for (const node of nodes) {
    if (node.path === "/") node.inode = rootInode;
    else if (node.path === lostAndFoundPath) node.inode = lostAndFoundInode;
    else if (node.inode === 0) single.push(node);
  }
  const numbers = place(
    single.map((node) => ({ key: node.path, units: 1 })),
    capacity(shape.pathInodes, single.length, { least: 4096, spread: 4 }),
  );
  for (const node of single) node.inode = numbers.get(node.path)!;
}

export const lostAndFoundPath = "/lost+found";

/** By segment, what its run of inodes consists of, sorted by path. */
type SegmentRuns = ReadonlyMap<string, readonly Node[]>;

/**
 * Files by the segment that holds them, with the links of the same origin. Origins only tell what belongs together:
 * their text decides nothing, as it may name a line of somebody's program.
 */
function segmentRuns(nodes: readonly Node[]): SegmentRuns {
  const runs = new Map<string, Node[]>();
  const segmentOfOrigin = new Map<string, string>();
  for (const { entry } of nodes) {
    if (entry.kind !== "file" || entry.content.kind !== "segment") continue;
    if (!segmentOfOrigin.has(entry.origin)) segmentOfOrigin.set(entry.origin, entry.content.segment);
  }
  for (const node of nodes) {
    const segment = segmentOfNode(node, segmentOfOrigin);
    if (segment === undefined) continue;
    const run = runs.get(segment);
    if (run) run.push(node);
    else runs.set(segment, [node]);
  }
  return runs;
}

function segmentOfNode({ entry }: Node, segmentOfOrigin: ReadonlyMap<string, string>): string | undefined {
  if (entry.kind === "file") return entry.content.kind === "segment" ? entry.content.segment : undefined;
  return entry.kind === "symlink" ? segmentOfOrigin.get(entry.origin) : undefined;
}

/**
 * Points the files of a segment at its place. Where two share bytes of it, the second gets blocks of its own later:
 * ext4 knows no shared blocks.
 */
function placeSegmentContents(segment: string, run: readonly Node[], room: SegmentRoom): Extent[] {
  const claims = claimsOn(segment, run, room.segments.get(segment));
  if (claims.length === 0) return [];
  const placement = room.segmentPlacement.get(segment);
  assert(placement !== undefined && placement % blockBytes === 0, `segment ${segment} has no place on a block`);
  const extents: Extent[] = [];
  let start = claims[0]!.offset;
  let end = start;
  const finish = () => {
    const source = { kind: "segment", segment, offset: start } as const;
    extents.push({ start: placement + start, length: end - start, source });
  };
  for (const { node, offset } of claims) {
    if (offset < end) continue;
    if (offset > end) {
      finish();
      start = offset;
    }
    end = offset + node.blocks * blockBytes;
    node.start = (placement + offset) / blockBytes;
    node.inSegment = true;
  }
  finish();
  return extents;
}

interface Claim {
  readonly node: Node;
  /** Bytes from the start of the segment. */
  readonly offset: number;
}

/** Sorted by offset. */
function claimsOn(segment: string, run: readonly Node[], dataBytes = 0): Claim[] {
  const claims: Claim[] = [];
  for (const node of run) {
    const { entry } = node;
    if (entry.kind !== "file" || entry.size === 0 || entry.content.kind !== "segment") continue;
    const { offset } = entry.content;
    if (offset % blockBytes !== 0 || offset + node.blocks * blockBytes > dataBytes) {
      throw new Error(`${node.path} lies at ${offset} of segment ${segment}: not on a block, or beyond its end`);
    }
    claims.push({ node, offset });
  }
  return claims.sort((a, b) => a.offset - b.offset);
}

function placeBlocks(nodes: readonly Node[], shape: Geometry): void {
  const directories: Placeable[] = [];
  const files: Placeable[] = [];
  for (const node of nodes) {
    if (node.directory) directories.push({ key: node.path, units: node.blocks });
    else if (node.blocks > 0 && !node.inSegment) files.push({ key: node.path, units: roomy(node.blocks) });
    const leaves = leafBlocksNeeded(node.blocks);
    if (leaves > 0) files.push({ key: `extents:${node.path}`, units: leaves });
    if (node.attributes?.inBody === false) files.push({ key: `xattrs:${node.path}`, units: 1 });
  }
  const directoryStarts = place(
    directories,
    capacity(shape.directories, total(directories), { least: 1024, spread: 2 }),
  );
  const fileStarts = place(files, capacity(shape.files, total(files), { least: 1024, spread: 4 }));
  for (const node of nodes) {
    if (node.directory) node.start = directoryStarts.get(node.path)!;
    else if (node.blocks > 0 && !node.inSegment) node.start = fileStarts.get(node.path)!;
    const leaves = leafBlocksNeeded(node.blocks);
    if (leaves > 0) {
      const first = fileStarts.get(`extents:${node.path}`)!;
      node.extentLeaves = Array.from({ length: leaves }, (_, i) => first + i);
    }
    if (node.attributes?.inBody === false) node.attributeBlock = fileStarts.get(`xattrs:${node.path}`)!;
  }
}

/**
 * The front part of a region to draw addresses from: a power of two, `spread` times what is needed, so that few
 * collide, that they still lie close together, and that it changes only when the need has doubled.
 */
function capacity(region: Region, needed: number, { least, spread }: { least: number; spread: number }): Region {
  const wanted = Math.max(least, 2 ** Math.ceil(Math.log2(Math.max(1, needed * spread))));
  return { start: region.start, length: Math.min(wanted, region.length) };
}

/** Some units more than needed, in steps that grow with the need: what grows a little keeps its place. */
function roomy(units: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, units))) - 2);
  return Math.ceil(units / step) * step;
}

function total(items: readonly Placeable[]): number {
  return items.reduce((sum, item) => sum + item.units, 0);
}
