import { assert } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import { formatBytes } from "../base/progress.ts";
import { buildDisk, diskLayout } from "../image/disk.ts";
import type { DiskRecipe } from "../image/extent.ts";
import { writeFat } from "../image/fat/write-fat.ts";
import { guidFrom } from "../image/gpt.ts";
import { recipeHash } from "../image/output/recipe-identity.ts";
import { efiFiles, grubAhead, grubImages } from "./boot-parts.ts";
import { type RealisedSystem, realiseSystem } from "./compose.ts";
import { rememberComposedFacts } from "./composed-facts.ts";
import { isDiskImageKept, keepDiskImage, keptDiskImage } from "./kept-image.ts";
import type { ResolvedSystem } from "./prepare.ts";
import { packRecipe } from "./recipe-file.ts";
import { labelOf, type RootFileSystem, rootFileSystem, tableOf } from "./root-file-system.ts";
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
  /** The image that this one's root file system was made from, where it was: they share the blocks that are the same. */
  readonly base?: DiskImage;
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
  return isDiskImageKept(session, keyOf(prepared, options).key);
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
  const { image, packed, root } = await stage(
    session,
    "lay out",
    async () => {
      const { recipe, root } = await layOutRecipe(session, system, size, true);
      const packed = packRecipe(recipe);
      packed.catch(() => {}); // Met below; until then it is nobody's.
      const image = { key, ...aboutImage(session, system, recipe), ...(root.base && { base: root.base }) };
      return { image, packed, root };
    },
    ({ image: { recipe, dataBytes } }) =>
      `${recipe.extents.length} extents, ${formatBytes(dataBytes)} of ${formatBytes(size)}`,
  );
  keepDiskImage(session, image, await packed);
  root.remember?.(key);
  return image;
}

/** Lays a composed system out as a disk of `size` bytes, whatever the store has kept. */
export async function layOutDisk(
  session: BuildSession,
  system: RealisedSystem,
  size: number = diskLayout.defaultSize,
): Promise<Omit<DiskImage, "key">> {
  return aboutImage(session, system, (await layOutRecipe(session, system, size, false)).recipe);
}

async function layOutRecipe(
  session: BuildSession,
  system: RealisedSystem,
  size: number,
  mayReuse: boolean,
): Promise<{ recipe: DiskRecipe; root: RootFileSystem }> {
  const { manifest } = system.prepared;
  const declared = manifest.fileSystems.find(({ mountPoint }) => mountPoint === "/");
  assert(declared, "a lowered system has a root file system");
  const begun = Promise.all([efiFiles(session, system), grubImages(session, system)]);
  begun.catch(() => {}); // Met below; until then it is nobody's.
  // On this processor, while another expands the modules of the initrd.
  const root = rootFileSystem(session, system, declared, { diskSize: size, mayReuse });
  const [efi, grub] = await begun;
  const recipe = buildDisk({
    size,
    architecture: manifest.architecture,
    root: root.recipe,
    rootLabel: labelOf(declared),
    efi: writeFat(efi, {
      size: diskLayout.efi.length,
      label: "EFI",
      volumeId: Number.parseInt(guidFrom(`mesoforge efi ${labelOf(declared)}`).slice(0, 8), 16),
      hiddenSectors: diskLayout.efi.start / 512,
    }),
    ...(grub ? { grub } : {}),
  });
  return { recipe, root };
}

function aboutImage(session: BuildSession, system: RealisedSystem, recipe: DiskRecipe): Omit<DiskImage, "key"> {
  const dataBytes = recipe.extents.reduce((sum, extent) => sum + extent.length, 0);
  const imageHash = recipeHash(recipe, (id) => tableOf(session, system, id).dataSha256);
  return { recipe, imageHash, files: system.tree.size, dataBytes };
}
