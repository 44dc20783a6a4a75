import { randomBytes } from "node:crypto";
import { failure } from "../../base/error.ts";
import { ownerTag } from "../../store/owner.ts";
import { type ImageAbout, parseAbout } from "../about.ts";
import type { ImageName } from "../pool.ts";
import type { ImageSpec, RbdDriver, StoredImage } from "./rbd-driver.ts";
import type { RunCeph } from "./run-ceph.ts";
import { type CephSettings, newPrefix, ownPrefix } from "./settings.ts";

/** What all verbs of the pool work with. */
export interface CephContext {
  readonly settings: CephSettings;
  readonly title: string;
  readonly rbd: () => Promise<RbdDriver>;
  readonly run: RunCeph;
}

/** An image where it was found. */
export interface FoundImage extends StoredImage {
  readonly spec: ImageSpec;
  readonly ours: ImageAbout | undefined;
}

/** The pools that images are looked for in, each once. */
export function poolsOf({ pool, machinePool }: CephSettings): readonly string[] {
  return pool === machinePool ? [pool] : [machinePool, pool];
}

/**
 * Looks the names up in RBD's directories, as a killed rename may leave images openable under a second name.
 * Names of other things of ours are never found.
 */
export async function findImages(context: CephContext, names: readonly ImageName[]): Promise<FoundImage[]> {
  const rbd = await context.rbd();
  const wanted = new Set(names.filter((name) => !name.startsWith(ownPrefix)));
  const found = await Promise.all(
    poolsOf(context.settings).map(async (pool) => {
      const listed = (await rbd.names(pool)).filter((name) => wanted.has(name));
      return (await rbd.images(pool, listed)).map((image) => foundImage(pool, image));
    }),
  );
  return found.flat();
}

export async function listImages(context: CephContext): Promise<FoundImage[]> {
  const rbd = await context.rbd();
  const found = await Promise.all(
    poolsOf(context.settings).map(async (pool) => {
      const names = (await rbd.names(pool)).filter((name) => !name.startsWith(ownPrefix));
      return (await rbd.images(pool, names)).map((image) => foundImage(pool, image));
    }),
  );
  return found.flat();
}

export function foundImage(pool: string, image: StoredImage): FoundImage {
  const ours = image.about === undefined ? undefined : parseAbout(image.about);
  return { ...image, spec: { pool, image: image.name }, ours };
}

export async function findImage(context: CephContext, name: ImageName): Promise<FoundImage | undefined> {
  return (await findImages(context, [name]))[0];
}

/** @throws MesoError `no-image`, `foreign-image`. */
export async function ourImage(context: CephContext, name: ImageName): Promise<FoundImage> {
  const found = await existingImage(context, name);
  if (found.ours) return found;
  throw failure("foreign-image", `${name} in ${context.title} was not made by this program`, {
    hint: "`meso adopt` makes it one of ours",
  });
}

/** @throws MesoError `no-image`. */
export async function existingImage(context: CephContext, name: ImageName): Promise<FoundImage> {
  const found = await findImage(context, name);
  if (found) return found;
  throw failure("no-image", `${name} is not in ${context.title}`);
}

/** @throws MesoError `image-in-use` when somebody has it open for writing. */
export async function refuseOpen(context: CephContext, { spec, name }: FoundImage): Promise<void> {
  const watchers = await (await context.rbd()).watchers(spec);
  if (watchers.length === 0) return;
  throw failure("image-in-use", `${name} is open: ${watchers.join(", ")}`, {
    hint: "stop what uses it, then run again",
  });
}

/** A name for what is not whole yet, that tells who makes it: see `sweep`. */
export function asideName(prefix: string = newPrefix): string {
  const seconds = Math.floor(Date.now() / 1000);
  return `${prefix}${ownerTag()}.${seconds}.${randomBytes(6).toString("hex")}`;
}
