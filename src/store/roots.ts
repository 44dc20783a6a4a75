import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import type { Items } from "./items.ts";
import type { Store } from "./store.ts";

/**
 * What must stay in a store although no process uses it at this moment: each root is a small file below `roots`. An
 * item is held by a name that a person chose, or by a link outside the store for as long as that link is there (so
 * whoever removes a result or a generation of a profile need not know of the store). A lock file, while it is there,
 * holds the indices that it pins and the archives that they list.
 */
export interface Root {
  /** The name, or the absolute path of the link or lock. */
  readonly name: string;
  readonly kind: "item" | "link" | "lock";
  /** Base name of the item that it holds; none of a lock, nor of a link that is gone or leads elsewhere. */
  readonly item?: string;
  /** Its link or lock is gone: the next collection removes it. */
  readonly isGone: boolean;
}

/**
 * Holds a valid item under a name; one that held another before holds this one from here on.
 *
 * @throws MesoError `missing-item`.
 */
export async function addRoot(store: Store, items: Items, name: string, path: string): Promise<void> {
  await holdValid(items, path);
  writeRoot(store, { kind: "item", name, item: basename(path) });
}

/**
 * Makes the link at `link` lead to a valid item, and hold it.
 *
 * @throws MesoError `missing-item`; `link-exists` where anything but a link into the store lies.
 */
export async function addLinkRoot(store: Store, items: Items, link: string, path: string): Promise<void> {
  const place = resolve(link);
  await holdValid(items, path);
  const there = lstatSync(place, { throwIfNoEntry: false });
  if (there && (!there.isSymbolicLink() || linkedItem(store, place) === undefined)) {
    throw failure("link-exists", `${place} is there, and is no link into the store`, { hint: "choose another name" });
  }
  const aside = join(dirname(place), `.${basename(place)}.${process.pid}`);
  rmSync(aside, { force: true });
  symlinkSync(items.physicalPath(path), aside);
  // Nobody may take the root for one whose link is gone before the link is there.
  const held = await store.lock(rootsLock);
  try {
    renameSync(aside, place);
    writeRoot(store, { kind: "link", name: place });
  } finally {
    held.release();
  }
}

/** Makes a lock file known. Costs one look when it is known already. */
export function addLockRoot(store: Store, lockFile: string): void {
  const place = resolve(lockFile);
  if (!existsSync(rootFile(store, place))) writeRoot(store, { kind: "lock", name: place });
}

/** False when there is no root of that name. */
export function removeRoot(store: Store, name: string): boolean {
  const file = [name, resolve(name)].map((one) => rootFile(store, one)).find((one) => existsSync(one));
  if (file !== undefined) rmSync(file, { force: true });
  return file !== undefined;
}

/** Forgets roots whose link or lock is gone. */
export async function removeGoneRoots(store: Store): Promise<void> {
  const held = await store.lock(rootsLock);
  try {
    for (const { name, isGone } of readRoots(store)) if (isGone) rmSync(rootFile(store, name), { force: true });
  } finally {
    held.release();
  }
}

const rootsLock = "roots";

/** All roots by name. A file that is none is passed over, and left to whoever put it there. */
export function readRoots(store: Store): readonly Root[] {
  const roots = readdirSync(join(store.directory, "roots")).flatMap((name) => {
    const written = readRootFile(join(store.directory, "roots", name));
    return written ? [look(store, written)] : [];
  });
  return sortedBy(roots, ({ name }) => name);
}

async function holdValid(items: Items, path: string): Promise<void> {
  await items.hold([path]);
  if (!items.record(path)) throw failure("missing-item", `${path} is not in the store`);
}

type WrittenRoot = Pick<Root, "name" | "kind" | "item">;

function look(store: Store, { name, kind, item }: WrittenRoot): Root {
  if (kind === "item") return { name, kind, ...(item !== undefined && { item }), isGone: false };
  if (kind === "lock") return { name, kind, isGone: !existsSync(name) };
  const linked = linkedItem(store, name);
  return { name, kind, ...(linked !== undefined && { item: linked }), isGone: linked === undefined };
}

/** Base name of the item that a link leads to or into. */
function linkedItem(store: Store, link: string): string | undefined {
  let target: string;
  try {
    target = resolve(dirname(link), readlinkSync(link));
  } catch {
    return undefined;
  }
  const folder = join(store.directory, "store");
  return target.startsWith(`${folder}/`) ? target.slice(folder.length + 1).split("/")[0] : undefined;
}

function rootFile(store: Store, name: string): string {
  return join(store.directory, "roots", `${sha256(name).slice(0, 32)}.json`);
}

function writeRoot(store: Store, root: WrittenRoot): void {
  const aside = store.temporaryPath();
  writeFileSync(aside, canonicalJson(root), { flag: "wx", flush: true });
  renameSync(aside, rootFile(store, root.name));
}

function readRootFile(file: string): WrittenRoot | undefined {
  try {
    const { name, kind, item } = JSON.parse(readFileSync(file, "utf8")) as Partial<Record<keyof Root, unknown>>;
    if (typeof name !== "string" || (item !== undefined && typeof item !== "string")) return undefined;
    if (kind !== "item" && kind !== "link" && kind !== "lock") return undefined;
    return { name, kind, ...(item !== undefined && { item }) };
  } catch {
    return undefined;
  }
}
