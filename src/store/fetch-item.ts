import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { failure } from "../base/error.ts";
import type { BinaryCache } from "./binary-cache.ts";
import { expand, parseCompression } from "./compression.ts";
import type { Items } from "./items.ts";
import type { NarInfo } from "./narinfo.ts";
import { removeTree } from "./remove-tree.ts";
import { restoreNar } from "./restore-nar.ts";
import type { Store } from "./store.ts";

export interface FetchItemOptions {
  readonly signal?: AbortSignal;
  /** The item is valid, but spoilt on the disk: what is fetched takes its place. */
  readonly isRepair?: boolean;
  /** Told of bytes as they come. */
  readonly onBytes?: (count: number) => void;
}

/**
 * Fetches an item whose description is trusted and whose references are valid, and makes it valid when its archive is
 * what the description says. Until then it lies aside: a wrong one never shows. What was fetched of a remote archive
 * before a kill or a lost connection is used again.
 *
 * @throws MesoError `hash-mismatch`, `bad-nar`, `bad-compression`, `archive-gone`, `cache-unreachable`.
 */
export async function fetchItem(
  store: Store,
  items: Items,
  cache: BinaryCache,
  info: NarInfo,
  options: FetchItemOptions = {},
): Promise<void> {
  const name = basename(info.storePath);
  const held = await store.lock(`fetch-${name}`, options.signal ? { signal: options.signal } : {});
  try {
    if (items.record(info.storePath) && !options.isRepair) return;
    if (cache.isLocal) {
      const { body } = await cache.open(info.url);
      await take(store, items, cache, info, counted(body, options), options);
      return;
    }
    const partial = partialFile(store, info);
    const isResumed = statSync(partial, { throwIfNoEntry: false }) !== undefined;
    try {
      await download(cache, info, partial, options);
      await takeDownloaded(store, items, cache, info, partial, options);
    } catch (error) {
      // What was there before may have been spoilt, or of another file: once more, from the start.
      if (!isResumed || isUnreachable(error)) throw error;
      rmSync(partial, { force: true });
      await download(cache, info, partial, options);
      await takeDownloaded(store, items, cache, info, partial, options);
    }
  } finally {
    held.release();
  }
}

async function takeDownloaded(
  store: Store,
  items: Items,
  cache: BinaryCache,
  info: NarInfo,
  partial: string,
  options: FetchItemOptions,
): Promise<void> {
  try {
    await take(store, items, cache, info, createReadStream(partial, { highWaterMark: 1 << 20 }), options);
  } finally {
    // Right, it is no longer needed; wrong, it would be wrong again.
    rmSync(partial, { force: true });
    rmSync(stateFile(partial), { force: true });
  }
}

/** Expands, restores and verifies; then, and not before, publishes. */
async function take(
  store: Store,
  items: Items,
  cache: BinaryCache,
  info: NarInfo,
  packed: AsyncIterable<Uint8Array>,
  options: FetchItemOptions,
): Promise<void> {
  const aside = store.temporaryPath();
  const hash = createHash("sha256");
  let packedSize = 0;
  async function* hashed() {
    for await (const piece of packed) {
      hash.update(piece);
      packedSize += piece.length;
      if (info.fileSize !== undefined && packedSize > info.fileSize) throw mismatch(`more than ${info.fileSize} bytes`);
      yield piece;
    }
  }
  async function* limited(pieces: AsyncIterable<Uint8Array>) {
    let size = 0;
    for await (const piece of pieces) {
      size += piece.length;
      // A few bytes may expand to any number of them.
      if (size > info.narSize) throw mismatch(`an archive of more than ${info.narSize} bytes`);
      yield piece;
    }
  }
  const mismatch = (found: string) =>
    failure("hash-mismatch", `${cache.name} gives ${found} for ${info.storePath}`, {
      expected: `an archive of ${info.narSize} bytes with SHA-256 ${info.narHash}`,
    });
  try {
    const found = await restoreNar(limited(expand(hashed(), parseCompression(info.compression))), aside);
    if (found.sha256 !== info.narHash || found.size !== info.narSize) {
      throw mismatch(`an archive of ${found.size} bytes with SHA-256 ${found.sha256}`);
    }
    const fileHash = hash.digest("hex");
    if (info.fileHash !== undefined && fileHash !== info.fileHash) throw mismatch(`a file with SHA-256 ${fileHash}`);
    const record = {
      path: info.storePath,
      narSha256: info.narHash,
      narSize: info.narSize,
      references: info.references,
      ...(info.deriver !== undefined && { deriver: `${items.prefix}/${info.deriver}` }),
      ...(info.signatures.length > 0 && { signatures: info.signatures }),
    };
    await items.adopt({ from: aside, record, ...(options.isRepair && { isRepair: true }) });
  } finally {
    removeTree(aside);
  }
}

/** Appends to the partial file until it is whole. */
async function download(cache: BinaryCache, info: NarInfo, partial: string, options: FetchItemOptions): Promise<void> {
  const have = statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
  if (have > 0 && have === info.fileSize) return;
  const state = readState(partial);
  // Without the file's hash or the server's name for it, what was there before could be of another file.
  const from = info.fileHash !== undefined || state !== undefined ? have : 0;
  const opened = await cache.open(info.url, from, info.fileHash === undefined ? state : undefined, options.signal);
  const file = openSync(partial, opened.offset === 0 ? "w" : "a");
  try {
    if (opened.offset !== 0 && opened.offset !== have) {
      throw failure("cache-unreachable", `the cache ${cache.name} starts at byte ${opened.offset} instead of ${have}`);
    }
    if (opened.state === undefined) rmSync(stateFile(partial), { force: true });
    else writeFileSync(stateFile(partial), opened.state);
    // More than the archive and what packing may add at worst is no archive of this item.
    const limit = info.fileSize ?? info.narSize + info.narSize / 100 + (1 << 16);
    let size = opened.offset;
    for await (const piece of counted(opened.body, options)) {
      size += piece.length;
      if (size > limit) throw failure("hash-mismatch", `${cache.name} gives more than ${limit} bytes of ${info.url}`);
      for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done);
    }
  } finally {
    closeSync(file);
  }
}

async function* counted(pieces: AsyncIterable<Uint8Array>, { onBytes, signal }: FetchItemOptions) {
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    onBytes?.(piece.length);
    yield piece;
  }
}

/** Named by what it will be, so that another cache that has the same file can go on with it. */
function partialFile(store: Store, { fileHash, narHash, compression }: NarInfo): string {
  const folder = join(store.directory, "partial");
  mkdirSync(folder, { recursive: true });
  return join(folder, `nar-${fileHash ?? `${narHash}-${compression.replace(/[^a-z0-9]/g, "")}`}`);
}

const stateFile = (partial: string): string => `${partial}.state`;

function readState(partial: string): string | undefined {
  try {
    return readFileSync(stateFile(partial), "utf8");
  } catch {
    return undefined;
  }
}

function isUnreachable(error: unknown): boolean {
  return (error as { code?: unknown }).code === "cache-unreachable" || (error as Error).name === "AbortError";
}
