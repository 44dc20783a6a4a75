import { failure } from "../../base/error.ts";
import { aboutText, type ImageAbout } from "../about.ts";
import type { ImageName } from "../pool.ts";
import { type CephContext, findImage, ourImage, refuseOpen } from "./context.ts";
import { makeAside } from "./images.ts";
import { ownPrefix } from "./settings.ts";

export async function createVolume(
  context: CephContext,
  name: ImageName,
  size: number,
  about: ImageAbout,
): Promise<void> {
  const found = await findImage(context, name);
  if (found?.ours && found.size === size) return;
  if (found) {
    throw failure("image-exists", `${name} is in ${context.title} already, with ${found.size} bytes`, {
      expected: `a volume of ours of ${size} bytes, or nothing`,
    });
  }
  const rbd = await context.rbd();
  await makeAside(context, name, async (aside) => {
    await rbd.create(aside, size);
    await rbd.setAbout(aside, aboutText(about));
  });
}

export async function takeSnapshot(context: CephContext, name: ImageName, snapshot: string): Promise<void> {
  const { spec, snapshots } = await ourImage(context, name);
  if (!snapshots.includes(snapshot)) await (await context.rbd()).createSnapshot({ ...spec, snapshot });
}

export async function listSnapshots(context: CephContext, name: ImageName): Promise<readonly string[]> {
  const { snapshots } = await ourImage(context, name);
  return snapshots.filter((snapshot) => !snapshot.startsWith(ownPrefix));
}

export async function removeSnapshot(context: CephContext, name: ImageName, snapshot: string): Promise<void> {
  const { spec, snapshots } = await ourImage(context, name);
  if (!snapshots.includes(snapshot)) return;
  const rbd = await context.rbd();
  const children = await rbd.childrenOf({ ...spec, snapshot });
  if (children.length > 0) {
    throw failure("image-has-children", `${snapshot} of ${name} is what ${children.join(", ")} stand on`);
  }
  await rbd.removeSnapshot({ ...spec, snapshot });
}

export async function restoreSnapshot(context: CephContext, name: ImageName, snapshot: string): Promise<void> {
  const image = await ourImage(context, name);
  if (!image.snapshots.includes(snapshot)) {
    throw failure("no-snapshot", `${name} in ${context.title} has no snapshot ${snapshot}`);
  }
  await refuseOpen(context, image);
  await (await context.rbd()).rollBack({ ...image.spec, snapshot });
}
