import { createHash } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Compression, compressionSuffix, pack } from "./compression.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { narStream } from "./nar.ts";
import { type NarInfo, signNarInfo } from "./narinfo.ts";
import type { Store } from "./store.ts";

/** A file that holds an item's archive, packed. */
export interface PackedFile {
  readonly fileHash: string;
  readonly fileSize: number;
}

/** Writes an item's archive, packed, as `target`, which appears whole or not at all. Memory is flat. */
export async function packItem(
  items: Items,
  record: ItemRecord,
  compression: Compression,
  target: string,
  aside: string,
): Promise<PackedFile> {
  const file = openSync(aside, "wx");
  const hash = createHash("sha256");
  let fileSize = 0;
  try {
    for await (const piece of pack(narStream(items.physicalPath(record.path)), compression)) {
      hash.update(piece);
      fileSize += piece.length;
      for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done);
    }
    fsyncSync(file);
    renameSync(aside, target);
  } finally {
    closeSync(file);
    rmSync(aside, { force: true });
  }
  return { fileHash: hash.digest("hex"), fileSize };
}

/** What is known of an item's packed archive in the store; undefined when it is not packed yet. */
export function packedFile(store: Store, record: ItemRecord, compression: Compression): PackedFile | undefined {
  const file = packedPlace(store, record, compression);
  try {
    const known = JSON.parse(readFileSync(`${file}.json`, "utf8")) as PackedFile;
    if (statSync(file).size !== known.fileSize || !/^[0-9a-f]{64}$/.test(known.fileHash)) return undefined;
    return { fileHash: known.fileHash, fileSize: known.fileSize };
  } catch {
    return undefined;
  }
}

/** Packs an item's archive in the store, once for all processes. What nobody asks for any more is collected. */
export async function ensurePacked(
  store: Store,
  items: Items,
  record: ItemRecord,
  compression: Compression,
): Promise<PackedFile & { readonly path: string }> {
  const path = packedPlace(store, record, compression);
  const held = await store.lock(`pack-${basename(path)}`);
  try {
    const known = packedFile(store, record, compression);
    if (known) {
      const now = Date.now() / 1000;
      for (const file of [path, `${path}.json`]) utimesSync(file, now, now);
      return { ...known, path };
    }
    mkdirSync(dirname(path), { recursive: true });
    const packed = await packItem(items, record, compression, path, store.temporaryPath());
    const aside = store.temporaryPath();
    writeFileSync(aside, JSON.stringify(packed));
    renameSync(aside, `${path}.json`);
    return { ...packed, path };
  } finally {
    held.release();
  }
}

function packedPlace(store: Store, { narSha256 }: ItemRecord, compression: Compression): string {
  return join(store.directory, "published", `${narSha256}.nar${compressionSuffix(compression)}`);
}

/** What a cache says of an item: signed by `secretKey` where there is one, and by whoever else has signed it. */
export function describeForCache(
  record: ItemRecord,
  where: { readonly url: string; readonly compression: Compression } & Partial<PackedFile>,
  secretKey: string | undefined,
): NarInfo {
  const info: NarInfo = {
    storePath: record.path,
    ...where,
    narHash: record.narSha256,
    narSize: record.narSize,
    references: record.references,
    ...(record.deriver !== undefined && { deriver: basename(record.deriver) }),
    signatures: record.signatures ?? [],
  };
  return secretKey === undefined ? info : signNarInfo(info, secretKey);
}

/** What `nix-cache-info` says: where items of the cache belong, and how it is to be preferred (less is better). */
export function cacheInfo(prefix: string, priority: number): string {
  return `StoreDir: ${prefix}\nWantMassQuery: 1\nPriority: ${priority}\n`;
}
