import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { failure } from "../base/error.ts";
import { toBase32 } from "./base32.ts";
import { type Compression, compressionSuffix } from "./compression.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { limiter } from "./limiter.ts";
import { parseNarInfo, printNarInfo } from "./narinfo.ts";
import { ownerTag, sweepAbandoned } from "./owner.ts";
import { cacheInfo, describeForCache, packItem } from "./packed-item.ts";

export interface CopyToFolderOptions {
  readonly compression: Compression;
  readonly secretKey?: string;
  /** How many items are packed at once. */
  readonly parallel: number;
  readonly onCopied?: (record: ItemRecord) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes items and everything that they need into a folder, in the layout of Nix's binary caches: for any web server, a
 * disk to carry, or `nix copy`. What is there is not written again. Gives what was written.
 *
 * @throws MesoError `other-store` where the folder is a cache of another store.
 */
export async function copyToFolder(
  items: Items,
  paths: Iterable<string>,
  folder: string,
  options: CopyToFolderOptions,
): Promise<readonly ItemRecord[]> {
  mkdirSync(join(folder, "nar"), { recursive: true });
  for (const place of [folder, join(folder, "nar")]) sweepAbandoned(place, ".aside-");
  checkStore(items, folder);
  const missing = inOrderOfNeed(items, paths).filter((record) => !isThere(folder, record));
  const slot = limiter(options.parallel);
  const written = new Map<string, Promise<void>>();
  for (const record of missing) {
    const needed = record.references.flatMap((path) => (path === record.path ? [] : (written.get(path) ?? [])));
    const work = slot(async () => {
      options.signal?.throwIfAborted();
      const { compression } = options;
      const aside = join(folder, "nar", asideName());
      const packed = await packItem(items, record, compression, `${aside}.packed`, aside);
      const url = `nar/${toBase32(Buffer.from(packed.fileHash, "hex"))}.nar${compressionSuffix(compression)}`;
      renameSync(`${aside}.packed`, join(folder, url));
      // Nobody may see an item before what it needs.
      await Promise.all(needed);
      const info = describeForCache(record, { url, compression, ...packed }, options.secretKey);
      writeWhole(folder, `${hashPart(record)}.narinfo`, printNarInfo(info));
      options.onCopied?.(record);
    });
    written.set(record.path, work);
  }
  const failed = (await Promise.allSettled(written.values())).find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
  return missing;
}

/** The items and everything that they need, what is needed first. */
export function inOrderOfNeed(items: Items, paths: Iterable<string>): readonly ItemRecord[] {
  const records = new Map(items.closure(paths).map((path) => [path, items.record(path)!]));
  const ordered = new Set<ItemRecord>();
  const place = (record: ItemRecord): void => {
    for (const other of record.references) {
      const needed = records.get(other)!;
      if (needed !== record && !ordered.has(needed)) place(needed);
    }
    ordered.add(record);
  };
  for (const record of records.values()) place(record);
  return [...ordered];
}

const hashPart = ({ path }: ItemRecord): string => basename(path).slice(0, 32);

function isThere(folder: string, record: ItemRecord): boolean {
  try {
    const info = parseNarInfo(readFileSync(join(folder, `${hashPart(record)}.narinfo`), "utf8"));
    return info.narHash === record.narSha256 && existsSync(join(folder, info.url));
  } catch {
    return false;
  }
}

function checkStore(items: Items, folder: string): void {
  const file = join(folder, "nix-cache-info");
  if (!existsSync(file)) writeWhole(folder, "nix-cache-info", cacheInfo(items.prefix, 40));
  const store = /^StoreDir: (.*)$/m.exec(readFileSync(file, "utf8"))?.[1];
  if (store === items.prefix) return;
  throw failure("other-store", `${folder} is a cache of the store ${store ?? "that it does not name"}`, {
    expected: items.prefix,
  });
}

function writeWhole(folder: string, name: string, text: string): void {
  const aside = join(folder, asideName());
  writeFileSync(aside, text, { flush: true });
  renameSync(aside, join(folder, name));
}

const asideName = (): string => `.aside-${ownerTag()}.${asideCounter++}`;
let asideCounter = 0;
