import { setTimeout as sleep } from "node:timers/promises";
import { CephRefusal, errnos, isRefusal } from "./ceph-failure.ts";
import type { ImageSpec, RbdDriver } from "./rbd-driver.ts";

/**
 * Gives an image another name, atomically: of many at once to one name, one gets it, the others a refusal.
 *
 * A rename writes an object `rbd_id.TO`, changes the directory and removes `rbd_id.FROM` (Ceph,
 * src/librbd/operation/RenameRequest.cc). One that was killed on the way leaves an object that no directory entry
 * belongs to, which takes its name for ever; it is removed when it is in the way.
 */
export async function renameImage(rbd: RbdDriver, from: ImageSpec, to: string): Promise<void> {
  const id = await rbd.readObject(from.pool, `rbd_id.${from.image}`);
  try {
    await rbd.rename(from, to);
  } catch (error) {
    if (!isRefusal(error, errnos.exists) || !(await isLeftover(rbd, from.pool, to))) throw error;
    await rbd.removeObject(from.pool, `rbd_id.${to}`);
    await rbd.rename(from, to);
  }
  // One that finds the name taken on the way, rather than at first, says that all went well (seen with Ceph 16).
  const named = await rbd.readObject(from.pool, `rbd_id.${to}`);
  if (!id || !named?.equals(id)) throw new CephRefusal(errnos.exists, `${to} was taken by another at the same time`);
}

/** Whether the name is in no directory, and stays so for longer than a rename that still goes on would take. */
async function isLeftover(rbd: RbdDriver, pool: string, name: string): Promise<boolean> {
  const object = `rbd_id.${name}`;
  const before = await rbd.readObject(pool, object);
  for (const pause of [0, renameMilliseconds]) {
    await sleep(pause);
    if ((await rbd.names(pool)).includes(name)) return false;
  }
  const after = await rbd.readObject(pool, object);
  return before !== undefined && after !== undefined && before.equals(after);
}

const renameMilliseconds = 2000;
