import { lstatSync, readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { ownerIsGone, ownerProcess, ownerTag } from "./owner.ts";

/** Held until `release()`, or until its process dies: then the next one that wants it takes it. */
export interface Lock {
  release(): void;
}

export interface LockOptions {
  /** Told once, when the wait is long enough to be noticed. */
  readonly onWait?: (message: string) => void;
  /** How long to wait for the holder, in milliseconds. */
  readonly patience?: number;
  readonly signal?: AbortSignal;
}

const defaultPatience = 30 * 60 * 1000;
const noticeableWait = 1000;

/**
 * Waits for the lock at `path`. Locks only spare processes the same work twice; what they guard must be
 * published by an atomic rename, because a lock of a container we cannot see into is broken after a while.
 *
 * @throws MesoError `store-busy` when the holder does not finish in time.
 */
export async function lock(path: string, options: LockOptions = {}): Promise<Lock> {
  const start = performance.now();
  let announced = false;
  for (let pause = 10; ; pause = Math.min(pause * 2, 200)) {
    const held = tryLock(path);
    if (held) return held;
    const waited = performance.now() - start;
    const holder = holderOf(path);
    if (waited > (options.patience ?? defaultPatience)) {
      throw failure("store-busy", `process ${ownerProcess(holder ?? "")} still holds ${path}`, {
        hint: "wait for it or end it, then run the command again",
      });
    }
    if (!announced && waited > noticeableWait) {
      announced = true;
      options.onWait?.(`waiting for process ${ownerProcess(holder ?? "")}, which does the same work`);
    }
    await sleep(pause, undefined, options.signal ? { signal: options.signal } : {});
  }
}

/**
 * The lock at `path`, or undefined when another holds it. A lock is a symbolic link whose target names the
 * owner: made by one system call, so never seen half-written.
 */
export function tryLock(path: string): Lock | undefined {
  const owner = ownerTag();
  for (let attempt = 0; attempt < 3; attempt++) {
    if (linked(owner, path)) return { release: () => removeIfOurs(path, owner) };
    if (!breakIfStale(path)) return undefined;
  }
  return undefined;
}

/** Removes the locks of processes that are gone. Costs one directory listing when there are none. */
export function sweepLocks(directory: string): void {
  for (const name of readdirSync(directory)) breakIfStale(join(directory, name));
}

/** Whether a process that is alive has the lock, without waiting for it or breaking it. */
export function isHeld(path: string): boolean {
  const owner = holderOf(path);
  if (owner === undefined) return false;
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status !== undefined && !ownerIsGone(owner, Date.now() - status.mtimeMs);
}

function linked(owner: string, path: string): boolean {
  try {
    symlinkSync(owner, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function holderOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function removeIfOurs(path: string, owner: string): void {
  if (holderOf(path) === owner) unlinkSync(path);
}

/** Whether the lock is worth another attempt: it went away, or was stale and is now broken. */
function breakIfStale(path: string): boolean {
  const owner = holderOf(path);
  if (owner === undefined) return true;
  try {
    if (!ownerIsGone(owner, Date.now() - lstatSync(path).mtimeMs)) return false;
    // Another process may break it and lock anew between our look and our rename: then put its lock back.
    const aside = `${path}.${ownerTag()}.broken`;
    renameSync(path, aside);
    const taken = readlinkSync(aside);
    unlinkSync(aside);
    if (taken !== owner) linked(taken, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return true;
}
