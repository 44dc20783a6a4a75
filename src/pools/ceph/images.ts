import { failure } from "../../base/error.ts";
import { aboutText, type ImageAbout } from "../about.ts";
import type { ImageName } from "../pool.ts";
import { errnos, isRefusal } from "./ceph-failure.ts";
import {
  asideName,
  type CephContext,
  existingImage,
  type FoundImage,
  findImage,
  findImages,
  ourImage,
  refuseOpen,
} from "./context.ts";
import type { ImageSpec, RbdDriver, SnapshotSpec } from "./rbd-driver.ts";
import { renameImage } from "./rename.ts";
import { gonePrefix, ownPrefix, publishedSnapshot } from "./settings.ts";

/** Snapshots that are made only to be cloned; they go with their last clone. */
const cloneSnapshotPrefix = `${ownPrefix}clone.`;

export async function cloneImage(
  context: CephContext,
  source: { readonly image: ImageName; readonly snapshot?: string },
  name: ImageName,
  about: ImageAbout,
): Promise<void> {
  const rbd = await context.rbd();
  const parent = await existingImage(context, source.image);
  if (await isCloneThere(context, parent, name, about)) return;
  const snapshot = await snapshotToClone(context, rbd, parent, source.snapshot);
  await makeAside(context, name, async (aside) => {
    await rbd.clone(snapshot, aside);
    // Each level costs every first read one look-up more.
    if ((await chainLength(rbd, aside)) > longestChain) await rbd.flatten(aside);
    await rbd.setAbout(aside, aboutText(about));
  });
}

/** Levels above an image: 1 is the base, 2 a published image, whose clones candidates and roots are. */
export const longestChain = 4;

/** How many images stand above it. */
export async function chainLength(rbd: RbdDriver, image: ImageSpec): Promise<number> {
  let length = 0;
  for (let at: ImageSpec | undefined = image; at; length++) {
    const [found]: readonly { readonly parent: SnapshotSpec | undefined }[] = await rbd.images(at.pool, [at.image]);
    if (!found?.parent) return length;
    at = { pool: found.parent.pool, image: found.parent.image };
  }
  return length;
}

/** Whether an earlier run got to its end. @throws MesoError `image-exists` for any other image of that name. */
async function isCloneThere(
  context: CephContext,
  parent: FoundImage,
  name: ImageName,
  about: ImageAbout,
): Promise<boolean> {
  const found = await findImage(context, name);
  if (!found) return false;
  const isIt = found.about === aboutText(about) && found.parent?.image === parent.name;
  if (isIt) return true;
  throw failure("image-exists", `${name} is in ${context.title} already`);
}

async function snapshotToClone(
  context: CephContext,
  rbd: RbdDriver,
  { spec, ours, snapshots, name }: FoundImage,
  wanted: string | undefined,
): Promise<SnapshotSpec> {
  if (wanted !== undefined) {
    if (snapshots.includes(wanted)) return { ...spec, snapshot: wanted };
    throw failure("no-snapshot", `${name} in ${context.title} has no snapshot ${wanted}`);
  }
  const isPublished = ours?.role === "published" && snapshots.includes(publishedSnapshot);
  const snapshot = isPublished ? publishedSnapshot : asideName(cloneSnapshotPrefix);
  if (!isPublished) await rbd.createSnapshot({ ...spec, snapshot });
  return { ...spec, snapshot };
}

/** Makes an image under a name that is listed nowhere, and gives it its own last. */
export async function makeAside(
  context: CephContext,
  name: ImageName,
  make: (aside: ImageSpec) => Promise<void>,
): Promise<void> {
  const rbd = await context.rbd();
  const aside: ImageSpec = { pool: context.settings.machinePool, image: asideName() };
  try {
    await make(aside);
    await refuseTaken(context, name);
    await renameImage(rbd, aside, name);
  } catch (error) {
    await rbd.remove(aside).catch(() => {});
    throw error;
  }
}

/** RBD refuses a name that is taken in the same pool, atomically; of two pools, one sees to the other. */
async function refuseTaken(context: CephContext, name: ImageName): Promise<void> {
  if (await findImage(context, name)) throw failure("image-exists", `${name} is in ${context.title} already`);
}

export async function renameOurs(context: CephContext, from: ImageName, to: ImageName): Promise<void> {
  const found = await findImages(context, [from, to]);
  const target = found.find(({ name }) => name === to);
  if (!found.some(({ name }) => name === from)) {
    throw failure("no-image", `${from} is not in ${context.title}`);
  }
  const image = await ourImage(context, from);
  if (target) throw failure("image-exists", `${to} is in ${context.title} already`);
  await refuseOpen(context, image);
  await renameImage(await context.rbd(), image.spec, to);
}

export async function describeImage(context: CephContext, name: ImageName, about: ImageAbout): Promise<void> {
  const { spec } = await ourImage(context, name);
  await (await context.rbd()).setAbout(spec, aboutText(about));
}

export async function adoptImage(context: CephContext, name: ImageName, about: ImageAbout): Promise<void> {
  const { spec } = await existingImage(context, name);
  await (await context.rbd()).setAbout(spec, aboutText(about));
}

export async function removeImage(context: CephContext, name: ImageName): Promise<void> {
  if (!(await findImage(context, name))) return;
  const image = await ourImage(context, name);
  const rbd = await context.rbd();
  await refuseOpen(context, image);
  const children = await rbd.children(image.spec);
  if (children.length > 0) {
    throw failure("image-has-children", `${name} is what ${children.join(", ")} stand on`, {
      hint: "remove them first",
    });
  }
  // From here on it is gone for everybody; a killed run's remains are swept.
  const gone: ImageSpec = { pool: image.spec.pool, image: asideName(gonePrefix) };
  await renameImage(rbd, image.spec, gone.image);
  await removeRemains(rbd, gone, image);
}

/** Takes away what bears a name of ours for what is going: its snapshots, itself, and what was made for its sake. */
export async function removeRemains(
  rbd: RbdDriver,
  gone: ImageSpec,
  { snapshots, parent }: Pick<FoundImage, "snapshots" | "parent">,
): Promise<void> {
  try {
    for (const snapshot of snapshots) await rbd.removeSnapshot({ ...gone, snapshot });
    await rbd.remove(gone);
  } catch (error) {
    // Somebody came to use it at the last moment, or has died and is still watched: `sweep` comes back to it.
    if (!isRefusal(error, errnos.busy, errnos.notEmpty, errnos.lockOwnerAlive)) throw error;
    return;
  }
  if (parent?.snapshot.startsWith(cloneSnapshotPrefix)) await removeUnusedSnapshot(rbd, parent);
}

/** A snapshot that was made for one clone. */
async function removeUnusedSnapshot(rbd: RbdDriver, snapshot: SnapshotSpec): Promise<void> {
  try {
    if ((await rbd.childrenOf(snapshot)).length === 0) await rbd.removeSnapshot(snapshot);
  } catch (error) {
    // Its image has another name, or is gone with it.
    if (!isRefusal(error, errnos.missing, errnos.busy)) throw error;
  }
}
