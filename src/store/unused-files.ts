import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { removeTree } from "./remove-tree.ts";
import { readRoots } from "./roots.ts";
import { useIsNewMilliseconds } from "./segments.ts";
import type { Store } from "./store.ts";

/** Parts of a store that are no items: all can be fetched or made again. */
export const fileKinds = [
  "segment",
  "archive",
  "index",
  "cached value",
  "log",
  "failed build",
  "published",
  "partial",
] as const;
export type FileKind = (typeof fileKinds)[number];

export interface StoreFile {
  readonly kind: FileKind;
  readonly path: string;
  readonly bytes: number;
  /** Seconds since 1970. */
  readonly usedSeconds: number;
  readonly uid: number;
}

export interface StoreFiles {
  /** What nothing holds and nobody has used since `before`, that longest ago first. */
  readonly unused: readonly StoreFile[];
  readonly used: readonly StoreFile[];
  /** By lock file: what only stays because it, or another lock, pins or lists it. */
  readonly locked: ReadonlyMap<string, readonly StoreFile[]>;
}

/**
 * The files of a store beside its items. A known lock holds the indices that it pins, and the segments (or, before they
 * are imported, archives) that they list: mirrors may have dropped what a machine must be built from again. Everything
 * else stays for as long as it is used.
 *
 * @param before seconds since 1970
 * @param live base names of items; logs of their derivations stay.
 */
export function storeFiles(store: Store, before: number, live: ReadonlySet<string>): StoreFiles {
  const lists = new Map<string, ReadonlySet<string>>();
  const locks = readRoots(store)
    .filter(({ kind, isGone }) => kind === "lock" && !isGone)
    .map(({ name }) => ({ name, holds: heldBy(store, name, lists) }));
  const locked = new Map<string, StoreFile[]>(locks.map(({ name }) => [name, []]));
  const unused: StoreFile[] = [];
  const used: StoreFile[] = [];
  for (const file of everyFile(store)) {
    if (file.usedSeconds >= before || (file.kind === "log" && live.has(basename(file.path, ".log")))) {
      used.push(file);
      continue;
    }
    const holders = locks.filter(({ holds }) => holds(file));
    if (holders.length === 0) unused.push(file);
    for (const { name } of holders) locked.get(name)!.push(file);
  }
  return { unused: unused.sort((a, b) => a.usedSeconds - b.usedSeconds), used, locked };
}

/** False when it turned out to be used meanwhile, or is gone. */
export function removeStoreFile(store: Store, { path, kind, usedSeconds }: StoreFile): boolean {
  const aside = store.temporaryPath();
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  // Whoever uses a segment writes so before: a use between the two looks is seen here, and the segment put back.
  if (kind === "segment" && lastUse(join(aside, "data")) > usedSeconds && !existsSync(path)) {
    renameSync(aside, path);
    return false;
  }
  removeTree(aside);
  if (kind === "cached value") removeIfEmpty(dirname(path));
  return true;
}

/** Uses are written on segments once an hour: so much earlier than it says one may have been used. Seconds. */
export const useMargin = useIsNewMilliseconds / 1000;

function* everyFile(store: Store): Generator<StoreFile> {
  const inside = (name: string): string => join(store.directory, name);
  for (const path of list(inside("segments"))) {
    const data = statSync(join(path, "data"), { throwIfNoEntry: false });
    if (!data) continue;
    const about = ["table.json", "control.json"].map(
      (name) => statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0,
    );
    const bytes = about.reduce((sum, size) => sum + size, data.size);
    yield { kind: "segment", path, bytes, usedSeconds: lastUse(join(path, "data")), uid: data.uid };
  }
  const folders: readonly (readonly [string, FileKind])[] = [
    ["archives", "archive"],
    ["indices", "index"],
    ["logs", "log"],
    ["failed", "failed build"],
    ["published", "published"],
    ["partial", "partial"],
  ];
  for (const [folder, kind] of folders) for (const path of list(inside(folder))) yield* fileAt(kind, path);
  for (const folder of list(inside("cache"))) for (const path of list(folder)) yield* fileAt("cached value", path);
}

function* fileAt(kind: FileKind, path: string): Generator<StoreFile> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (!status) return;
  const bytes = status.isDirectory() ? treeBytes(path) : status.size;
  yield { kind, path, bytes, usedSeconds: Math.max(status.mtimeMs, status.atimeMs) / 1000, uid: status.uid };
}

/** The later of what is written and what the file system knows, where it is asked to know. */
function lastUse(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  return status ? Math.max(status.mtimeMs, status.atimeMs) / 1000 : 0;
}

function treeBytes(path: string): number {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (!status?.isDirectory()) return status?.size ?? 0;
  return list(path).reduce((sum, other) => sum + treeBytes(other), 0);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Read-only folders of a failed build may be closed even to their owner.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return [];
    throw error;
  }
}

/**
 * Whether a lock holds a file. Locks name indices by their SHA-256, and indices archives, as `SHA256: …` lines of stanzas
 * (Debian repository format, "Packages" Indices): nothing else of either needs to be understood here.
 */
function heldBy(store: Store, lockFile: string, lists: Map<string, ReadonlySet<string>>): (file: StoreFile) => boolean {
  const pinned = new Set(readText(lockFile).match(/\b[0-9a-f]{64}\b/g));
  for (const id of pinned) {
    // Many locks pin the same indices.
    if (!lists.has(id)) lists.set(id, listedArchives(join(store.indicesDirectory, `${id}.txt`)));
  }
  const isListed = (archive: string): boolean => [...pinned].some((id) => lists.get(id)!.has(archive));
  return ({ kind, path }) => {
    const [id] = basename(path).split(".") as [string];
    if (kind === "index") return pinned.has(id);
    if (kind === "segment") return isListed(id);
    return kind === "archive" && isListed(id) && !store.hasSegment(id);
  };
}

function listedArchives(file: string): ReadonlySet<string> {
  const listed = new Set<string>();
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch {
    return listed;
  }
  const field = "\nSHA256: ";
  for (let at = text.indexOf(field); at >= 0; at = text.indexOf(field, at + field.length)) {
    listed.add(text.toString("latin1", at + field.length, at + field.length + 64));
  }
  return listed;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Others are in it, or have just put one there.
  }
}
