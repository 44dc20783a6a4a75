import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ownerTag, sweepAbandoned } from "../../store/owner.ts";

/**
 * Where things lie in the folder of a pool. An image is a folder `images/NAME`, so that one rename makes it appear
 * whole, and a name that is taken refuses it. Files name each other by relative paths: the folder can be moved.
 */
export interface Places {
  readonly folder: string;
  readonly images: string;
  readonly base: string;
  readonly documents: string;
  readonly locks: string;
  /** What is written on images that other programs made and that stay where they are. */
  readonly adopted: string;
  readonly journal: string;
  readonly lease: string;
}

export function placesIn(folder: string): Places {
  const at = (name: string): string => join(folder, name);
  return {
    folder,
    images: at("images"),
    base: at("base"),
    documents: at("documents"),
    locks: at("locks"),
    adopted: at("adopted"),
    journal: at("journal.jsonl"),
    lease: at("lease.json"),
  };
}

export function makePlaces(places: Places): void {
  for (const folder of [places.images, places.base, places.documents, places.locks, places.adopted]) {
    mkdirSync(folder, { recursive: true });
  }
}

/** Names of files of ours begin with a letter or digit: what begins with a point is not whole, or on its way out. */
export function isAside(name: string): boolean {
  return name.startsWith(".");
}

/** A fresh name for what is not whole yet; of a killed process, `sweepAside` finds it. */
export function asideIn(folder: string): string {
  return join(folder, `${asidePrefix}${ownerTag()}.${counter++}`);
}

const asidePrefix = ".aside.";
let counter = 0;

/** Removes what killed processes left aside in a folder. Gives the names. */
export function sweepAside(folder: string): string[] {
  const before = namesIn(folder).filter(isAside);
  if (before.length === 0) return [];
  sweepAbandoned(folder, asidePrefix);
  const after = new Set(namesIn(folder));
  return before.filter((name) => !after.has(name));
}

/** Of a folder that need not exist. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}

/** Written whole or not at all, and on the disk when this returns. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const aside = asideIn(dirname(path));
  try {
    writeSynced(aside, content);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

export function writeSynced(path: string, content: string | Uint8Array): void {
  const file = openSync(path, "wx");
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes renames in a folder last. */
export function syncFolder(folder: string): void {
  const opened = openSync(folder, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/** Waits until a file's contents are on the disk, while other work goes on. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The same for a file that is never written again: whoever tries is told by the file system. */
export async function sealFile(path: string): Promise<void> {
  await syncFile(path);
  chmodSync(path, 0o444);
}

/** Disappears at one moment, however long it takes to delete. */
export function removeWhole(path: string): void {
  const aside = asideIn(dirname(path));
  renameSync(path, aside);
  rmSync(aside, { recursive: true, force: true });
}
