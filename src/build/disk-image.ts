import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import { formatBytes } from "../base/progress.ts";
import { buildDisk, diskLayout, rootPartitionBytes } from "../image/disk.ts";
import { erofsDataRegion } from "../image/erofs/layout.ts";
import { writeErofs } from "../image/erofs/write-erofs.ts";
import { ext4DataRegion, writeExt4 } from "../image/ext4/write-ext4.ts";
import type { DiskRecipe } from "../image/extent.ts";
import { writeFat } from "../image/fat/write-fat.ts";
import { guidFrom } from "../image/gpt.ts";
import { recipeHash } from "../image/output/recipe-identity.ts";
import { place } from "../image/placement.ts";
import type { FileTree } from "../store/file-tree.ts";
import type { SegmentTable } from "../store/segment.ts";
import type { ManifestFileSystem } from "../system/manifest.ts";
import { efiFiles, grubAhead, grubImages } from "./boot-parts.ts";
import { type RealisedSystem, realiseSystem } from "./compose.ts";
import { rememberComposedFacts } from "./composed-facts.ts";
import type { ResolvedSystem } from "./prepare.ts";
import { decodeImage, encodeImage, packRecipe } from "./recipe-file.ts";
import { type BuildSession, stage } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

/** A disk image as a value: its recipe, and the hash that names its contents. */
export interface DiskImage {
  readonly recipe: DiskRecipe;
  /** Under which the store keeps it: `keptDiskImage`. */
  readonly key: string;
  /** SHA-256 that names every byte of the disk. */
  readonly imageHash: string;
  readonly files: number;
  /** Bytes that extents cover. */
  readonly dataBytes: number;
}

export interface DiskImageOptions {
  /** Bytes of the whole disk; thin. */
  readonly size?: number;
}

/**
 * The disk image of a prepared system. One that was laid out before is taken from the store without looking at
 * packages again; otherwise what is missing is fetched, imported and composed.
 */
export async function diskImage(
  session: BuildSession,
  prepared: ResolvedSystem,
  options: DiskImageOptions = {},
): Promise<DiskImage> {
  const { key, size } = keyOf(prepared, options);
  const known = keptDiskImage(session, key);
  if (known) return known;
  const { store, signal, report } = session;
  const lock = await store.lock(`image-${key}`, { signal, onWait: (text) => report({ stage: "wait", text }) });
  try {
    return keptDiskImage(session, key) ?? (await makeDiskImage(session, prepared, size, key));
  } finally {
    lock.release();
  }
}

/** Whether an image was laid out before. Only `diskImage` looks whether it is still whole. */
export function hasDiskImage(session: BuildSession, prepared: ResolvedSystem, options: DiskImageOptions = {}): boolean {
  return existsSync(keptFile(session, keyOf(prepared, options).key));
}

function keyOf({ systemHash }: ResolvedSystem, options: DiskImageOptions): { key: string; size: number } {
  const size = options.size ?? diskLayout.defaultSize;
  return { key: hashOf({ system: systemHash, program: sourceDigest(), size }), size };
}

async function makeDiskImage(
  session: BuildSession,
  prepared: ResolvedSystem,
  size: number,
  key: string,
): Promise<DiskImage> {
  const system = await realiseSystem(session, prepared, [grubAhead(session, prepared)]);
  rememberComposedFacts(session, system);
  const { image, packed } = await stage(
    session,
    "lay out",
    async () => {
      const recipe = await layOutRecipe(session, system, size);
      const packed = packRecipe(recipe);
      packed.catch(() => {}); // Met below; until then it is nobody's.
      return { image: { key, ...aboutImage(session, system, recipe) }, packed };
    },
    ({ image: { recipe, dataBytes } }) =>
      `${recipe.extents.length} extents, ${formatBytes(dataBytes)} of ${formatBytes(size)}`,
  );
  const file = keptFile(session, key);
  mkdirSync(dirname(file), { recursive: true });
  const aside = session.store.temporaryPath();
  writeFileSync(aside, encodeImage(image, await packed));
  renameSync(aside, file);
  return image;
}

/** The image that an earlier run laid out, when the store still has all that it points to. */
export function keptDiskImage(session: BuildSession, key: string): DiskImage | undefined {
  const file = keptFile(session, key);
  if (!existsSync(file)) return undefined;
  const decoded = decodeImage(readFileSync(file));
  if (!decoded) return undefined;
  const ends = new Map<string, number>();
  for (const { length, source } of decoded.recipe.extents) {
    if (source.kind !== "segment") continue;
    ends.set(source.segment, Math.max(ends.get(source.segment) ?? 0, source.offset + length));
  }
  // A data file that is too short is found damaged, and made again, only by who asks for its segment.
  const isThere = ([id, end]: [string, number]): boolean =>
    (statSync(session.store.segmentDataPath(id), { throwIfNoEntry: false })?.size ?? -1) >= end;
  return [...ends].every(isThere) ? { key, ...decoded } : undefined;
}

/** Lays a composed system out as a disk of `size` bytes, whatever the store has kept. */
export async function layOutDisk(
  session: BuildSession,
  system: RealisedSystem,
  size: number = diskLayout.defaultSize,
): Promise<Omit<DiskImage, "key">> {
  return aboutImage(session, system, await layOutRecipe(session, system, size));
}

async function layOutRecipe(session: BuildSession, system: RealisedSystem, size: number): Promise<DiskRecipe> {
  const { manifest } = system.prepared;
  const root = manifest.fileSystems.find(({ mountPoint }) => mountPoint === "/");
  assert(root, "a lowered system has a root file system");
  const begun = Promise.all([efiFiles(session, system), grubImages(session, system)]);
  begun.catch(() => {}); // Met below; until then it is nobody's.
  // On this processor, while another expands the modules of the initrd.
  const rootRecipe = rootFileSystem(session, system, root, rootPartitionBytes(size));
  const [efi, grub] = await begun;
  return buildDisk({
    size,
    architecture: manifest.architecture,
    root: rootRecipe,
    rootLabel: labelOf(root),
    efi: writeFat(efi, {
      size: diskLayout.efi.length,
      label: "EFI",
      volumeId: Number.parseInt(guidFrom(`mesoforge efi ${labelOf(root)}`).slice(0, 8), 16),
      hiddenSectors: diskLayout.efi.start / 512,
    }),
    ...(grub ? { grub } : {}),
  });
}

function aboutImage(session: BuildSession, system: RealisedSystem, recipe: DiskRecipe): Omit<DiskImage, "key"> {
  const dataBytes = recipe.extents.reduce((sum, extent) => sum + extent.length, 0);
  const imageHash = recipeHash(recipe, (id) => tableOf(session, system, id).dataSha256);
  return { recipe, imageHash, files: system.tree.size, dataBytes };
}

function rootFileSystem(
  session: BuildSession,
  system: RealisedSystem,
  { type, device }: ManifestFileSystem,
  size: number,
): DiskRecipe {
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
  const write = type === "erofs" ? writeErofs : writeExt4;
  return write(system.tree, { size, label, uuid, segments, segmentPlacement });
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

function tableOf(session: BuildSession, system: RealisedSystem, id: string): SegmentTable {
  return system.segments.get(id) ?? session.store.readSegmentTable(id);
}

/** A root that is not found by label carries one all the same: it names the partition. */
function labelOf({ device }: Pick<ManifestFileSystem, "device">): string {
  return device.kind === "label" ? device.label : "root";
}

function keptFile({ store }: BuildSession, key: string): string {
  return join(store.directory, "cache", "recipes", key);
}
