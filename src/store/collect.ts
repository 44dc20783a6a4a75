import { chmodSync, lstatSync, readdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { collectionLock, readLeases, removeDeadLeases, sweepLock } from "./leases.ts";
import { extendLive, type MarkedItems, type MarkOptions, markItems } from "./mark-items.ts";
import { removeTree } from "./remove-tree.ts";
import { removeGoneRoots } from "./roots.ts";
import type { Store } from "./store.ts";
import { isItemName } from "./store-path.ts";
import { removeStoreFile, type StoreFile, type StoreFiles, storeFiles, useMargin } from "./unused-files.ts";

export interface CollectionOptions extends MarkOptions {
  /** What is no item goes when it was not used for so many seconds. */
  readonly unusedSeconds: number;
  /** Stops when so many bytes are free again, what was not used for longest first; all of it unless given. */
  readonly freeBytes?: number;
  readonly signal?: AbortSignal;
  /** Told as it goes. */
  readonly onRemoved?: (bytes: number) => void;
}

/** What a collection would take, in the order in which it would, and what stays and why. */
export interface Collectable {
  readonly marked: MarkedItems;
  readonly files: StoreFiles;
  readonly items: readonly ItemRecord[];
  readonly unused: readonly StoreFile[];
  /** Of all that would go. */
  readonly bytes: number;
}

export interface Collected {
  readonly items: number;
  readonly files: number;
  readonly bytes: number;
  /** What somebody has begun to use since it was looked at. */
  readonly spared: number;
}

/** What a collection would take. Changes nothing, and may be asked while builds and other collections run. */
export function collectable(store: Store, items: Items, options: CollectionOptions): Collectable {
  const marked = markItems(store, items, options);
  const { since } = readLeases(store.directory);
  const before = Math.min(options.now - options.unusedSeconds, (since ?? Number.POSITIVE_INFINITY) - useMargin);
  const files = storeFiles(store, before, marked.live);
  let bytes = 0;
  const fits = (size: number): boolean => {
    if (options.freeBytes !== undefined && bytes >= options.freeBytes) return false;
    bytes += size;
    return true;
  };
  // Files first: they can be had again from elsewhere, for less than building.
  const unused = files.unused.filter((file) => fits(file.bytes));
  const dead = marked.dead.filter((record) => fits(record.narSize));
  return { marked, files, items: dead, unused, bytes };
}

/**
 * Takes away what nothing holds. Builds go on meanwhile: who begins to use an item before its turn comes keeps it (see
 * `leases.ts`). May be killed at any moment: what it has begun to take is gone, all else is as before.
 *
 * @throws MesoError `collection-runs` while another one does.
 */
export async function collect(store: Store, items: Items, options: CollectionOptions): Promise<Collected> {
  const held = store.tryLock(collectionLock);
  if (!held) throw failure("collection-runs", "another collection is at work in this store");
  try {
    removeDeadLeases(store.directory);
    await removeGoneRoots(store);
    await items.finishAbandoned();
    const { items: dead, unused, marked } = collectable(store, items, options);
    const done = { items: 0, files: 0, bytes: 0, spared: 0 };
    for (const file of unused) {
      options.signal?.throwIfAborted();
      if (!removeStoreFile(store, file)) done.spared++;
      else {
        done.files++;
        done.bytes += file.bytes;
        options.onRemoved?.(done.bytes);
      }
    }
    await sweepItems(store, items, dead, marked, done, options);
    if (options.freeBytes === undefined) sweepLeftovers(store, items, options);
    return done;
  } finally {
    held.release();
  }
}

/** So many items are taken at once: others wait for that, some milliseconds. */
const batchSize = 64;

async function sweepItems(
  store: Store,
  items: Items,
  dead: readonly ItemRecord[],
  { records, live }: MarkedItems,
  done: { -readonly [Key in keyof Collected]: Collected[Key] },
  { signal, onRemoved }: CollectionOptions,
): Promise<void> {
  const stays = new Set(live);
  for (let at = 0; at < dead.length; at += batchSize) {
    signal?.throwIfAborted();
    const trash: string[] = [];
    const held = await store.lock(sweepLock);
    try {
      extendLive(records, readLeases(store.directory).held, stays);
      for (const { path, narSize } of dead.slice(at, at + batchSize)) {
        if (stays.has(basename(path))) {
          done.spared++;
          continue;
        }
        trash.push(...takeAway(store, items, path));
        done.items++;
        done.bytes += narSize;
      }
    } finally {
      held.release();
    }
    for (const place of trash) removeTree(place);
    onRemoved?.(done.bytes);
    // Who waits gets its turn.
    await sleep(2);
  }
}

/** The record first: without one, what lies there is nothing. */
function takeAway(store: Store, items: Items, path: string): string[] {
  const record = join(store.directory, "records", basename(path));
  return [record, items.physicalPath(path)].flatMap((place) => {
    const status = lstatSync(place, { throwIfNoEntry: false });
    if (!status) return [];
    // A folder that is closed to its owner cannot be moved (rename(2): its ".." changes).
    if (status.isDirectory()) chmodSync(place, 0o755);
    const aside = store.temporaryPath();
    renameSync(place, aside);
    return [aside];
  });
}

/** Contents without a record, and records that cannot be read: of processes that died, or a disk that failed. */
function sweepLeftovers(store: Store, items: Items, { now, graceSeconds }: CollectionOptions): void {
  for (const folder of ["store", "records"]) {
    for (const name of readdirSync(join(store.directory, folder))) {
      const path = `${items.prefix}/${name}`;
      if (isItemName(name) && items.record(path)) continue;
      const place = join(store.directory, folder, name);
      const changed = lstatSync(place, { throwIfNoEntry: false })?.ctimeMs ?? Number.POSITIVE_INFINITY;
      if (changed / 1000 > now - graceSeconds || readLeases(store.directory).held.has(name)) continue;
      const lock = store.tryLock(`item-${name}`);
      if (!lock) continue;
      try {
        if (!isItemName(name) || !items.record(path)) removeTree(place);
      } finally {
        lock.release();
      }
    }
  }
}
