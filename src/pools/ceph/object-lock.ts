import { aText, isRecord, mismatch, type Shape } from "../../base/shape.ts";
import { errnos, isRefusal } from "./ceph-failure.ts";
import type { LockPlace } from "./rbd-driver.ts";
import type { RunCeph } from "./run-ceph.ts";

/** Who holds a lock. */
export interface ObjectLock {
  /** `client.4711`: the connection that took it. */
  readonly locker: string;
  /** Chosen by who took it; with `locker` it names this one taking. */
  readonly cookie: string;
  readonly description: string;
}

/** Whether it could be taken. `description` is what others are told. */
export async function takeObjectLock(
  run: RunCeph,
  { pool, object, name }: LockPlace,
  cookie: string,
  description: string,
): Promise<boolean> {
  try {
    await run("rados", [
      ...["--pool", pool, "lock", "get", object, name],
      ...["--lock-cookie", cookie, "--lock-description", description],
    ]);
    return true;
  } catch (error) {
    if (isRefusal(error, errnos.busy, errnos.exists)) return false;
    throw error;
  }
}

export async function objectLock(run: RunCeph, { pool, object, name }: LockPlace): Promise<ObjectLock | undefined> {
  try {
    const text = await run("rados", ["--pool", pool, "lock", "info", object, name]);
    const info: unknown = JSON.parse(text.toString());
    const locker: unknown = isRecord(info) && Array.isArray(info.lockers) ? info.lockers[0] : undefined;
    if (mismatch(locker, lockerShape)) return undefined;
    const { name: client, cookie, description } = locker as { name: string; cookie: string; description: string };
    return { locker: client, cookie, description };
  } catch (error) {
    if (isRefusal(error, errnos.missing)) return undefined;
    throw error;
  }
}

const lockerShape: Shape = {
  members: { name: aText, cookie: aText, description: aText },
  optional: { expiration: aText, addr: aText },
};

/** Ends just this taking; one that is over already is fine. */
export async function breakObjectLock(run: RunCeph, place: LockPlace, held: ObjectLock): Promise<void> {
  const { pool, object, name } = place;
  try {
    await run("rados", [
      ...["--pool", pool, "lock", "break", object, name, held.locker],
      ...["--lock-cookie", held.cookie],
    ]);
  } catch (error) {
    if (!isRefusal(error, errnos.missing)) throw error;
  }
}
