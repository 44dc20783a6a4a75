import { mkdirSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { failure } from "../base/error.ts";
import { type Cache, createCache } from "./cache.ts";
import { hasLease, sweepLeases, takeLease } from "./leases.ts";
import { isHeld, type Lock, type LockOptions, lock, sweepLocks, tryLock } from "./lock.ts";
import { ownerTag, sweepAbandoned } from "./owner.ts";
import { memoryFolder } from "./scratch.ts";
import { createSegments, type Segments } from "./segments.ts";

/**
 * A store: a folder of archives, indices, segments, built items and derived values, shared by any number of
 * processes at once. Everything in it appears whole by a rename; whoever dies leaves only rubbish below
 * `tmp/`, which the next one sweeps.
 */
export interface Store extends Segments, Cache {
  /** The physical place, absolute. */
  readonly directory: string;
  /** Where the archive with this SHA-256 is kept once it is downloaded. */
  archivePath(sha256: string): string;
  /** Where signed indices are kept. */
  readonly indicesDirectory: string;
  /** The physical place of the item `hash-name`. */
  itemPath(baseName: string): string;
  /** A fresh name below `tmp/`, for a file or folder that will be renamed into place or removed. */
  temporaryPath(): string;
  /**
   * A fresh name for files and folders that this process removes when it is done: in memory where there is room for
   * about so many bytes, else below `tmp/`. Not to be renamed into the store.
   */
  scratchPath(bytes: number): string;
  lock(name: string, options?: LockOptions): Promise<Lock>;
  tryLock(name: string): Lock | undefined;
  /** Whether a process that is alive has the lock. */
  isLocked(name: string): boolean;
  /** Keeps items (paths) from being collected until this process ends, or `release`s; see `leases.ts`. */
  hold(paths: Iterable<string>): Promise<void>;
  /** Lets go of everything that this process holds through this store. */
  release(): void;
}

const folders = ["archives", "indices", "segments", "items", "cache", "tmp", "locks", "leases", "roots", "pending"];

/**
 * Opens (and makes, where needed) the store in `directory`, and sweeps what dead processes left.
 *
 * @throws MesoError `store-unusable` when the folder cannot be made or used.
 */
export function openStore(directory: string): Store {
  if (!isAbsolute(directory)) throw unusable(directory, "its path is not absolute");
  const inside = (...names: string[]) => join(directory, ...names);
  try {
    for (const folder of folders) mkdirSync(inside(folder), { recursive: true });
    sweepAbandoned(inside("tmp"), "", hasLease(directory));
    sweepLocks(inside("locks"));
    sweepLeases(directory);
  } catch (error) {
    throw unusable(directory, (error as Error).message, error);
  }
  const temporaryPath = () => inside("tmp", `${ownerTag()}.${temporaryCounter++}`);
  const lease = takeLease(directory);
  return {
    directory,
    archivePath: (sha256) => inside("archives", `${sha256}.deb`),
    indicesDirectory: inside("indices"),
    itemPath: (baseName) => inside("items", baseName),
    temporaryPath,
    scratchPath: (bytes) => {
      const folder = memoryFolder(bytes);
      return folder ? join(folder, `${ownerTag()}.${temporaryCounter++}`) : temporaryPath();
    },
    lock: (name, options) => lock(inside("locks", name), options),
    tryLock: (name) => tryLock(inside("locks", name)),
    isLocked: (name) => isHeld(inside("locks", name)),
    hold: lease.hold,
    release: lease.release,
    ...createCache(inside("cache"), temporaryPath),
    ...createSegments(inside("segments"), temporaryPath, lease.open),
  };
}

/** Counts in the whole process, so that two stores opened on one folder never use the same name. */
let temporaryCounter = 0;

/**
 * `MESO_STORE` when set; `/meso` for root where that folder is; else a folder of the person's data
 * (XDG Base Directory Specification: a relative `XDG_DATA_HOME` does not count).
 *
 * @throws MesoError `store-unusable` when the environment names no place.
 */
export function defaultStoreDirectory(
  env: Readonly<Record<string, string | undefined>>,
  { isRoot = process.getuid?.() === 0, systemStore = "/meso" }: { isRoot?: boolean; systemStore?: string } = {},
): string {
  const chosen = env.MESO_STORE;
  if (chosen) {
    if (isAbsolute(chosen)) return chosen;
    throw failure("store-unusable", `MESO_STORE is ${JSON.stringify(chosen)}`, { expected: "an absolute path" });
  }
  if (isRoot && statSync(systemStore, { throwIfNoEntry: false })?.isDirectory()) return systemStore;
  if (env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME)) return join(env.XDG_DATA_HOME, "meso");
  if (env.HOME && isAbsolute(env.HOME)) return join(env.HOME, ".local", "share", "meso");
  throw failure("store-unusable", "no place for the store: HOME is not set", {
    hint: "set MESO_STORE to a folder for the store",
  });
}

function unusable(directory: string, why: string, cause?: unknown) {
  return failure(
    "store-unusable",
    `the store ${directory} cannot be used: ${why}`,
    { hint: "set MESO_STORE to a folder that you may write" },
    cause,
  );
}
