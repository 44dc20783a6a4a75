import { createHash } from "node:crypto";
import { sha256 } from "../../base/hash.ts";
import type { DiskRecipe, Extent } from "../extent.ts";

/** What a segment's data file holds, whatever place and name it has: `readSegmentTable(id).dataSha256`. */
export type SegmentIdentity = (segment: string) => string;

/**
 * SHA-256 that names the contents of a disk without reading them: its size and, piece by piece, what lies
 * where, by content. Physical places and the way neighbours are cut into extents do not matter.
 */
export function recipeHash(recipe: DiskRecipe, identify: SegmentIdentity): string {
  const hash = createHash("sha256");
  hash.update(`disk ${recipe.size}\n`);
  for (const run of joinedRuns(recipe.extents)) {
    const first = run[0]!;
    const length = run.reduce((sum, extent) => sum + extent.length, 0);
    if (first.source.kind === "segment") {
      hash.update(`${first.start} ${length} segment ${identify(first.source.segment)} ${first.source.offset}\n`);
    } else {
      const bytes = createHash("sha256");
      for (const extent of run) bytes.update(bytesOf(extent));
      hash.update(`${first.start} ${length} bytes ${bytes.digest("hex")}\n`);
    }
  }
  return hash.digest("hex");
}

/** Sizes in bytes: of the unit of comparison, and of an object as Ceph RBD cuts images by default. */
export const comparedBlockBytes = 4096;
export const objectBytes = 4 << 20;

/**
 * How many 4 KiB blocks, and 4 MiB objects, differ between two disks: what publishing one over the other
 * would write. Nothing is read: blocks are compared by where their content comes from, so bytes equal to
 * a segment's count as changed. Literal zeros equal a hole.
 */
export function changedBlocks(before: DiskRecipe, after: DiskRecipe, identify: SegmentIdentity) {
  const old = blockIdentities(before, identify);
  const fresh = blockIdentities(after, identify);
  const changed = new Set<number>();
  for (const [block, identity] of fresh) if (old.get(block) !== identity) changed.add(block);
  for (const block of old.keys()) if (!fresh.has(block)) changed.add(block);
  const objects = new Set([...changed].map((block) => Math.floor((block * comparedBlockBytes) / objectBytes)));
  return { blocks: changed.size, objects: objects.size };
}

/** What each block that is not zeros holds. */
function blockIdentities(recipe: DiskRecipe, identify: SegmentIdentity): Map<number, string> {
  const identities = new Map<number, string>();
  for (const run of joinedRuns(recipe.extents)) {
    for (const extent of run) addBlocks(identities, extent, identify);
  }
  return identities;
}

function addBlocks(identities: Map<number, string>, extent: Extent, identify: SegmentIdentity): void {
  const { source } = extent;
  const name = source.kind === "segment" ? identify(source.segment) : "";
  const end = extent.start + extent.length;
  for (let at = extent.start; at < end; ) {
    const block = Math.floor(at / comparedBlockBytes);
    const stop = Math.min(end, (block + 1) * comparedBlockBytes);
    const skip = at - extent.start;
    const within = at % comparedBlockBytes;
    const content =
      source.kind === "segment"
        ? `${name}+${source.offset + skip}`
        : identityOfBytes(source.bytes.subarray(skip, skip + stop - at));
    if (content !== undefined) {
      identities.set(block, `${identities.get(block) ?? ""}${within}:${stop - at}:${content};`);
    }
    at = stop;
  }
}

const zeros = Buffer.alloc(comparedBlockBytes);

function identityOfBytes(bytes: Uint8Array): string | undefined {
  return zeros.subarray(0, bytes.length).equals(bytes) ? undefined : sha256(bytes);
}

/** Extents that continue each other: the same segment going on, or bytes beside bytes. */
function* joinedRuns(extents: readonly Extent[]): Generator<Extent[]> {
  let run: Extent[] = [];
  for (const extent of extents) {
    if (run.length > 0 && !continues(run.at(-1)!, extent)) {
      yield run;
      run = [];
    }
    run.push(extent);
  }
  if (run.length > 0) yield run;
}

function continues(left: Extent, right: Extent): boolean {
  if (left.start + left.length !== right.start) return false;
  if (left.source.kind === "bytes") return right.source.kind === "bytes";
  return (
    right.source.kind === "segment" &&
    right.source.segment === left.source.segment &&
    right.source.offset === left.source.offset + left.length
  );
}

function bytesOf(extent: Extent): Uint8Array {
  return extent.source.kind === "bytes" ? extent.source.bytes.subarray(0, extent.length) : new Uint8Array(0);
}
