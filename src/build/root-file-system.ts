import { diskLayout, rootPartitionBytes } from "../image/disk.ts";
import { erofsDataRegion } from "../image/erofs/layout.ts";
import { writeErofs } from "../image/erofs/write-erofs.ts";
import { ext4Frame, rewriteContents } from "../image/ext4/rewrite-contents.ts";
import { type Ext4Options, ext4DataRegion, type GeneratedPlace, writeExt4 } from "../image/ext4/write-ext4.ts";
import { type DiskRecipe, partOf } from "../image/extent.ts";
import { guidFrom } from "../image/gpt.ts";
import { place } from "../image/placement.ts";
import type { FileTree } from "../store/file-tree.ts";
import type { SegmentTable } from "../store/segment.ts";
import type { ManifestFileSystem } from "../system/manifest.ts";
import type { RealisedSystem } from "./compose.ts";
import type { DiskImage } from "./disk-image.ts";
import { keptDiskImage } from "./kept-image.ts";
import type { BuildSession } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

export interface RootFileSystem {
  readonly recipe: DiskRecipe;
  /** The image that it was made from. */
  readonly base?: DiskImage;
  /** To be told the key of the image that it became part of, once that is kept: others are made from it. */
  readonly remember?: (imageKey: string) => void;
}

export interface RootOptions {
  /** Bytes of the whole disk. */
  readonly diskSize: number;
  /** Whether it may be made from what the store has kept. */
  readonly mayReuse: boolean;
}

/**
 * The root file system of a composed system. An ext4 that differs from one of an earlier image only in what small
 * generated files hold, as with an option of a service or the name of a machine, is made from that one's blocks.
 */
export function rootFileSystem(
  session: BuildSession,
  system: RealisedSystem,
  { type, device }: ManifestFileSystem,
  { diskSize, mayReuse }: RootOptions,
): RootFileSystem {
  const size = rootPartitionBytes(diskSize);
  const label = labelOf({ device });
  const segments = segmentsOf(session, system, system.tree);
  const region = type === "erofs" ? erofsDataRegion(size) : ext4DataRegion(size);
  const blocks = place(
    [...segments].map(([key, bytes]) => ({ key, units: bytes / blockBytes })),
    { start: region.start / blockBytes, length: Math.floor(region.length / blockBytes) },
  );
  const segmentPlacement = new Map([...blocks].map(([id, block]) => [id, block * blockBytes]));
  // Not of the machine's name: what two machines share, they share to the last block.
  const uuid = device.kind === "uuid" ? device.uuid : guidFrom(`mesoforge root ${type} ${label}`);
  const options = { size, label, uuid, segments, segmentPlacement };
  if (type === "erofs") return { recipe: writeErofs(system.tree, options) };
  return mayReuse ? keptExt4(session, system.tree, options) : { recipe: writeExt4(system.tree, options) };
}

function keptExt4(session: BuildSession, tree: FileTree, options: Ext4Options): RootFileSystem {
  const memory = `ext4 frame ${sourceDigest()} ${ext4Frame(tree, options)}`;
  const known = session.store.recall(memory) as KnownFrame | undefined;
  const base = known && keptDiskImage(session, known.imageKey);
  const remember = (generated: KnownFrame["generated"]) => (imageKey: string) =>
    session.store.remember(memory, { imageKey, generated } satisfies KnownFrame);
  if (base) {
    const before = partOf(base.recipe, { start: diskLayout.root.start, length: options.size });
    const recipe = rewriteContents(before, tree, new Map(known.generated));
    return { recipe, base, remember: remember(known.generated) };
  }
  const { generated, ...recipe } = writeExt4(tree, options);
  return { recipe, remember: remember([...generated]) };
}

/** What is remembered of a frame: the latest image of it that is kept, and what all of them have in common. */
interface KnownFrame {
  readonly imageKey: string;
  readonly generated: readonly (readonly [string, GeneratedPlace])[];
}

const blockBytes = 4096;

/** Bytes of data by id, for every segment that a file of the tree points into. */
function segmentsOf(session: BuildSession, system: RealisedSystem, tree: FileTree): Map<string, number> {
  const segments = new Map<string, number>();
  for (const entry of tree.values()) {
    if (entry.kind !== "file" || entry.size === 0 || entry.content.kind !== "segment") continue;
    const { segment } = entry.content;
    if (!segments.has(segment)) segments.set(segment, tableOf(session, system, segment).dataBytes);
  }
  return segments;
}

/** The table of a segment of the system, or of one that was made for it. */
export function tableOf(session: BuildSession, system: RealisedSystem, id: string): SegmentTable {
  return system.segments.get(id) ?? session.store.readSegmentTable(id);
}

/** A root that is not found by label carries one all the same: it names the partition. */
export function labelOf({ device }: Pick<ManifestFileSystem, "device">): string {
  return device.kind === "label" ? device.label : "root";
}
