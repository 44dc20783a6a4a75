import { basename } from "node:path";
import { failure, MesoError } from "../base/error.ts";
import type { BinaryCache } from "./binary-cache.ts";
import { expand, parseCompression } from "./compression.ts";
import { firstDifference } from "./first-difference.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { limiter } from "./limiter.ts";
import type { NarInfo } from "./narinfo.ts";
import { removeTree } from "./remove-tree.ts";
import { restoreNar } from "./restore-nar.ts";
import type { Store } from "./store.ts";

/** What others have under the name of an item of ours. */
export interface Challenge {
  readonly path: string;
  readonly narSha256: string;
  readonly verdict: "same" | "different" | "unknown";
  readonly others: readonly {
    readonly cache: string;
    /** Hexadecimal; nothing where the cache has no such item. */
    readonly narSha256?: string;
    /** In words: where its contents first differ from ours. */
    readonly difference?: string;
    /** Why it could not be asked. */
    readonly trouble?: MesoError;
  }[];
}

/**
 * Compares items with what caches have, built by somebody else: the same derivation built twice should give the same.
 * Signatures are of no interest here. With `explain`, the first difference is looked for in the contents.
 */
export async function challenge(
  store: Store,
  items: Items,
  records: readonly ItemRecord[],
  caches: readonly BinaryCache[],
  { explain = false, signal }: { readonly explain?: boolean; readonly signal?: AbortSignal } = {},
): Promise<readonly Challenge[]> {
  const slot = limiter(16);
  const compare = async (record: ItemRecord): Promise<Challenge> => {
    const others = await Promise.all(
      caches.map((cache) => askOther(store, items, record, cache, explain, slot, signal)),
    );
    const known = others.filter((other) => other.narSha256 !== undefined);
    const isSame = known.every((other) => other.narSha256 === record.narSha256);
    const verdict = known.length === 0 ? "unknown" : isSame ? "same" : "different";
    return { path: record.path, narSha256: record.narSha256, verdict, others };
  };
  return Promise.all(records.map(compare));
}

async function askOther(
  store: Store,
  items: Items,
  record: ItemRecord,
  cache: BinaryCache,
  explain: boolean,
  slot: ReturnType<typeof limiter>,
  signal: AbortSignal | undefined,
): Promise<Challenge["others"][number]> {
  let answer: Challenge["others"][number] = { cache: cache.name };
  await slot(async () => {
    try {
      const info = await cache.narInfo(basename(record.path).slice(0, 32), signal);
      if (info?.storePath !== record.path) return;
      answer = { cache: cache.name, narSha256: info.narHash };
      if (!explain || info.narHash === record.narSha256) return;
      const difference = await differenceTo(store, items, record, cache, info, signal);
      answer = { ...answer, ...(difference !== undefined && { difference }) };
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      answer = { ...answer, trouble: error };
    }
  });
  return answer;
}

async function differenceTo(
  store: Store,
  items: Items,
  record: ItemRecord,
  cache: BinaryCache,
  info: NarInfo,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const aside = store.temporaryPath();
  try {
    const { body } = await cache.open(info.url, 0, undefined, signal);
    // Nobody vouches for what comes: it may not fill the disk.
    const limit = 2 * record.narSize + (64 << 20);
    await restoreNar(atMost(limit, expand(body, parseCompression(info.compression))), aside);
    return firstDifference(items.physicalPath(record.path), aside);
  } finally {
    removeTree(aside);
  }
}

async function* atMost(limit: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > limit) throw failure("bad-nar", `the archive has more than ${limit} bytes`);
    yield piece;
  }
}
