import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { assert, failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { sealItem } from "./canonical-item.ts";
import { type ItemRecord, parseItemRecord } from "./item-record.ts";
import type { Lock } from "./lock.ts";
import { writeNar } from "./nar.ts";
import { removeTree } from "./remove-tree.ts";
import { referenceScanner } from "./scan-references.ts";
import type { Store } from "./store.ts";
import { syncTree } from "./sync-tree.ts";

/** What is to become an item: canonical already, on the store's file system. */
export interface MadeItem {
  readonly path: string;
  readonly from: string;
  /** Paths that it may refer to; those whose hashes occur in it become its references. */
  readonly mayReferTo: readonly string[];
  /** The derivation that made it. */
  readonly deriver?: string;
}

/** The same with what is known of it already: nobody reads it again. */
export interface KnownItem {
  readonly from: string;
  readonly record: Omit<ItemRecord, "registeredSeconds">;
  /** Takes the place of a valid item of the same contents, which the disk has spoiled. */
  readonly isRepair?: boolean;
}

interface Places {
  readonly store: Store;
  /** Where the item of a path lies. */
  readonly physicalPath: (path: string) => string;
  readonly recordFile: (path: string) => string;
  readonly record: (path: string) => ItemRecord | undefined;
}

/**
 * Makes items valid that belong together, all or none: their contents are moved into place, then a file that holds all
 * their records is published by one rename, then each record. Who dies between the last two has registered them all the
 * same: `finishRegistration` does what is left. Whoever comes second keeps what the first has put there.
 *
 * @throws MesoError `missing-item` for a reference that is not valid, `reference-cycle`.
 */
export async function registerItems(places: Places, made: readonly MadeItem[]): Promise<readonly ItemRecord[]> {
  const { store, record } = places;
  const locks = await lockItems(store, made);
  try {
    await store.hold(made.flatMap(({ path, mayReferTo }) => [path, ...mayReferTo]));
    const fresh = made.filter(({ path }) => !record(path));
    await publish(
      places,
      fresh.map((one) => ({ from: one.from, record: describeItem(one) })),
      pendingFile(store, made),
    );
    return made.map(({ path }) => {
      const known = record(path);
      assert(known, `${path} is registered`);
      return known;
    });
  } finally {
    for (const held of locks) held.release();
    for (const { from } of made) removeTree(from);
  }
}

/** Makes one item valid of which everything is known and verified. The same in all else. */
export async function registerKnownItem(places: Places, known: KnownItem): Promise<void> {
  const { store, record } = places;
  const { path, references } = known.record;
  const locks = await lockItems(store, [known.record]);
  try {
    await store.hold([path, ...references]);
    const before = record(path);
    const isWanted = !before || (known.isRepair && before.narSha256 === known.record.narSha256);
    if (isWanted) await publish(places, [known], pendingFile(store, [known.record]));
  } finally {
    for (const held of locks) held.release();
    removeTree(known.from);
  }
}

async function publish(places: Places, fresh: readonly KnownItem[], pending: string): Promise<void> {
  const { store, record, physicalPath, recordFile } = places;
  // Operational: when it came, for people and for the grace period of a collection. Part of no hash.
  const registeredSeconds = Math.floor(Date.now() / 1000);
  const described = inOrderOfNeed(fresh.map((one) => ({ ...one.record, registeredSeconds })));
  for (const { path, references } of described) {
    const lost = references.find((other) => !record(other) && !described.some((one) => one.path === other));
    if (lost !== undefined) throw failure("missing-item", `${path} refers to ${lost}, which is not in the store`);
  }
  // All at once, so that the disk is waited for once: contents and records, then the renames in their order.
  const texts = described.map((one) => writeAside(store, canonicalJson(one)));
  const together = described.length > 1 ? writeAside(store, canonicalJson(described)) : undefined;
  const asides = together === undefined ? texts : [together, ...texts];
  await Promise.all([...fresh.map(({ from }) => from), ...asides].map((one) => syncTree(one)));
  for (const { from, record } of fresh) {
    // What lies there without a record was left by somebody who died between the two renames.
    removeTree(physicalPath(record.path));
    renameSync(from, physicalPath(record.path));
    sealItem(physicalPath(record.path));
  }
  if (together !== undefined) renameSync(together, pending);
  for (const [i, one] of described.entries()) renameSync(texts[i]!, recordFile(one.path));
  if (together !== undefined) rmSync(pending);
}

/** Publishes what is left of a registration whose process died after it had decided. Nothing to do is fine. */
export async function finishRegistration(places: Places, paths: readonly { readonly path: string }[]): Promise<void> {
  const { store, record, recordFile } = places;
  const pending = pendingFile(store, paths);
  if (!existsSync(pending)) return;
  const locks = await lockItems(store, paths);
  try {
    for (const one of readPending(pending)) {
      if (!existsSync(places.physicalPath(one.path)) || record(one.path)) continue;
      const aside = writeAside(store, canonicalJson(one));
      await syncTree(aside);
      renameSync(aside, recordFile(one.path));
    }
    rmSync(pending, { force: true });
  } finally {
    for (const held of locks) held.release();
  }
}

/** For a collection: finishes what dead processes decided, and leaves to living ones what is theirs. */
export async function finishAbandonedRegistrations(places: Places): Promise<void> {
  const folder = pendingFolder(places.store);
  for (const name of readdirSync(folder)) {
    const paths = readPending(join(folder, name));
    if (paths.length === 0) rmSync(join(folder, name), { force: true });
    else if (!paths.some(({ path }) => places.store.isLocked(lockName(path)))) await finishRegistration(places, paths);
  }
}

const lockName = (path: string): string => `item-${basename(path)}`;

/** In one order, so that no two processes wait for each other. */
async function lockItems(store: Store, items: readonly { readonly path: string }[]): Promise<readonly Lock[]> {
  const locks: Lock[] = [];
  try {
    for (const { path } of sortedBy(items, ({ path }) => path)) locks.push(await store.lock(lockName(path)));
    return locks;
  } catch (error) {
    for (const held of locks) held.release();
    throw error;
  }
}

function pendingFolder(store: Store): string {
  const folder = join(store.directory, "pending");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Named by the first of the items: those that are registered together always are. */
function pendingFile(store: Store, items: readonly { readonly path: string }[]): string {
  return join(pendingFolder(store), basename(sortedBy(items, ({ path }) => path)[0]!.path));
}

function readPending(file: string): readonly ItemRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  return value.flatMap((one) => parseItemRecord(JSON.stringify(one), (one as Partial<ItemRecord>)?.path ?? "") ?? []);
}

function describeItem({ path, from, mayReferTo, deriver }: MadeItem): KnownItem["record"] {
  const byHash = new Map([...mayReferTo, path].map((other) => [basename(other).slice(0, 32), other]));
  const scanner = referenceScanner(byHash.keys());
  const hash = createHash("sha256");
  let narSize = 0;
  writeNar(from, (piece) => {
    hash.update(piece);
    scanner.pass(piece);
    narSize += piece.length;
  });
  return {
    path,
    narSha256: hash.digest("hex"),
    narSize,
    references: sortedBy(scanner.found, (found) => byHash.get(found)!).map((found) => byHash.get(found)!),
    ...(deriver !== undefined && { deriver }),
  };
}

/** What is needed comes first, so that no valid item ever refers to one that is not. */
function inOrderOfNeed(records: readonly ItemRecord[]): readonly ItemRecord[] {
  const byPath = new Map(records.map((one) => [one.path, one]));
  const ordered = new Set<ItemRecord>();
  const place = (one: ItemRecord, way: readonly ItemRecord[]): void => {
    if (ordered.has(one)) return;
    if (way.includes(one)) {
      throw failure("reference-cycle", `${one.path} and ${way.at(-1)!.path} need each other`, {
        expected: "outputs of one build that need each other one way only",
        hint: "make them one output",
      });
    }
    for (const other of one.references) {
      const needed = byPath.get(other);
      if (needed && needed !== one) place(needed, [...way, one]);
    }
    ordered.add(one);
  };
  for (const one of records) place(one, []);
  return [...ordered];
}

function writeAside(store: Store, text: string): string {
  const aside = store.temporaryPath();
  writeFileSync(aside, text, { flag: "wx" });
  return aside;
}
