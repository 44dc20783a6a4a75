import { basename } from "node:path";
import { failure, MesoError } from "../base/error.ts";
import type { BinaryCache } from "./binary-cache.ts";
import { type FetchItemOptions, fetchItem } from "./fetch-item.ts";
import type { Items } from "./items.ts";
import { limiter } from "./limiter.ts";
import { type NarInfo, signerOf } from "./narinfo.ts";
import type { Store } from "./store.ts";

export interface SubstituteOptions extends FetchItemOptions {
  /** How many archives are fetched at once; 4 unless given. */
  readonly parallel?: number;
  /** Told why a cache was not used for something, once for each reason. */
  readonly onTrouble?: (trouble: MesoError) => void;
  /** Told of each item that became valid. */
  readonly onFetched?: (info: NarInfo, cache: BinaryCache) => void;
}

/** What caches could give in place of building. */
export interface Substituter {
  /**
   * Makes of these paths valid what caches have, with everything that it needs, and gives those that are not valid then:
   * they must be built. Trouble with caches is told, and is no error.
   */
  substitute(paths: Iterable<string>): Promise<readonly string[]>;
  /** What would have to be fetched for those of the paths that caches have, without fetching it. */
  wouldFetch(paths: Iterable<string>): Promise<readonly NarInfo[]>;
}

/** Something to be fetched: the same item, as several caches have it; the preferred one first. */
interface Candidate {
  readonly info: NarInfo;
  readonly cache: BinaryCache;
}

/**
 * A substituter that asks all caches at once and takes each item from the first of them, in their order, whose
 * description is signed by one of its keys and whose archive is what that says.
 */
export function createSubstituter(
  store: Store,
  items: Items,
  caches: readonly BinaryCache[],
  options: SubstituteOptions = {},
): Substituter {
  const { lookUp, told } = lookUps(items, caches, options);
  const slot = limiter(options.parallel ?? 4);
  /** What has failed is not tried again by this process. */
  const spoilt = new Set<NarInfo>();
  /** Of two that want the same, one fetches. */
  const underWay = new Map<string, Promise<void>>();

  const candidateOf = async (path: string): Promise<Candidate | undefined> =>
    (await lookUp(path)).find(({ info }) => !spoilt.has(info));

  /** What is missing for the paths, each after what it needs; without what no cache has all of. */
  const plan = async (paths: readonly string[]): Promise<readonly Candidate[]> => {
    const found = new Map<string, Candidate | undefined>();
    let layer = [...new Set(paths)];
    while (layer.length > 0) {
      options.signal?.throwIfAborted();
      await items.hold(layer);
      const missing = layer.filter((path) => !items.record(path));
      const candidates = await Promise.all(missing.map(candidateOf));
      for (const [i, path] of missing.entries()) found.set(path, candidates[i]);
      const needed = candidates.flatMap((candidate) => candidate?.info.references ?? []);
      layer = [...new Set(needed)].filter((path) => !found.has(path));
    }
    const planned = obtainable(items, found);
    const wanted = new Set(planned);
    const useless = [...found.values()].filter((one) => one !== undefined && !wanted.has(one));
    if (useless.length === 0) return planned;
    // What a preferred cache describes cannot be had whole: another may describe it otherwise.
    for (const one of useless) spoilt.add(one!.info);
    return plan(paths);
  };

  const fetchOne = async ({ info, cache }: Candidate, needed: readonly Promise<void>[]): Promise<void> => {
    await Promise.all(needed);
    if (!info.references.every((path) => path === info.storePath || items.record(path))) return;
    await slot(async () => {
      try {
        await fetchItem(store, items, cache, info, options);
        options.onFetched?.(info, cache);
      } catch (error) {
        if (!(error instanceof MesoError)) throw error;
        told(cache, error);
        spoilt.add(info);
      }
    });
  };

  const fetchPlanned = async (planned: readonly Candidate[]): Promise<void> => {
    const begun: Promise<void>[] = [];
    for (const candidate of planned) {
      const { storePath, references } = candidate.info;
      const other = underWay.get(storePath);
      const needed = references.flatMap((path) => (path === storePath ? [] : (underWay.get(path) ?? [])));
      const fetched = other ?? fetchOne(candidate, needed).finally(() => underWay.delete(storePath));
      underWay.set(storePath, fetched);
      begun.push(fetched);
    }
    const failed = (await Promise.allSettled(begun)).find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
  };

  return {
    wouldFetch: async (paths) => (await plan([...paths])).map(({ info }) => info),
    substitute: async (paths) => {
      const wanted = [...paths];
      const missing = () => wanted.filter((path) => !items.record(path));
      for (;;) {
        const planned = await plan(missing());
        if (planned.length === 0) return missing();
        // Each round makes something valid or spoils it: there are only so many.
        await fetchPlanned(planned);
      }
    },
  };
}

/** In an order of need, those of which everything needed is valid or to be had; what needs itself in a ring is not. */
function obtainable(items: Items, found: ReadonlyMap<string, Candidate | undefined>): readonly Candidate[] {
  const ordered = new Map<string, Candidate | undefined>();
  const open = new Set<string>();
  const place = (path: string): boolean => {
    if (ordered.has(path)) return ordered.get(path) !== undefined;
    const candidate = found.get(path);
    if (!candidate) return !found.has(path) && items.record(path) !== undefined;
    if (open.has(path)) return false;
    open.add(path);
    const isComplete = candidate.info.references.every((other) => other === path || place(other));
    open.delete(path);
    ordered.set(path, isComplete ? candidate : undefined);
    return isComplete;
  };
  for (const path of found.keys()) place(path);
  return [...ordered.values()].filter((candidate) => candidate !== undefined);
}

/** A cache that failed so often, one time after the other, is not asked again by this process. */
const mostFailures = 3;

function lookUps(items: Items, caches: readonly BinaryCache[], options: SubstituteOptions) {
  const failures = new Map<BinaryCache, number>();
  const said = new Set<string>();
  const known = new Map<string, Promise<readonly Candidate[]>>();
  // Descriptions are small: asking for many at once hides the way to the cache and back.
  const slot = limiter(32);

  const told = (cache: BinaryCache, trouble: MesoError): void => {
    if (trouble.code === "cache-unreachable") failures.set(cache, (failures.get(cache) ?? 0) + 1);
    if (said.has(trouble.message)) return;
    said.add(trouble.message);
    options.onTrouble?.(trouble);
  };

  const ask = async (cache: BinaryCache, path: string): Promise<Candidate[]> => {
    let answer: Candidate[] = [];
    await slot(async () => {
      if ((failures.get(cache) ?? 0) >= mostFailures) return;
      try {
        const info = await cache.narInfo(basename(path).slice(0, 32), options.signal);
        failures.delete(cache);
        if (!info) return;
        checkDescription(items, cache, path, info);
        answer = [{ info, cache }];
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof MesoError)) throw error;
        told(cache, error);
      }
    });
    return answer;
  };
  const lookUp = (path: string): Promise<readonly Candidate[]> => {
    const before = known.get(path);
    if (before) return before;
    const fresh = Promise.all(caches.map((cache) => ask(cache, path))).then((answers) => answers.flat());
    known.set(path, fresh);
    return fresh;
  };
  return { lookUp, told };
}

/**
 * Fetches anew what the disk has spoiled of a valid item, from the first cache that has the very same contents. False
 * when none has.
 */
export async function repairItem(
  store: Store,
  items: Items,
  caches: readonly BinaryCache[],
  path: string,
  options: SubstituteOptions = {},
): Promise<boolean> {
  const { lookUp, told } = lookUps(items, caches, options);
  for (const { info, cache } of await lookUp(path)) {
    if (info.narHash !== items.record(path)?.narSha256) continue;
    try {
      await fetchItem(store, items, cache, info, { ...options, isRepair: true });
      return true;
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      told(cache, error);
    }
  }
  return false;
}

/** @throws MesoError `wrong-description`, `not-signed`. */
function checkDescription(items: Items, { name, keys }: BinaryCache, path: string, info: NarInfo): void {
  if (info.storePath !== path || info.references.some((other) => !other.startsWith(`${items.prefix}/`))) {
    throw failure("wrong-description", `${name} describes ${info.storePath} where it was asked for ${path}`);
  }
  if (keys === undefined || signerOf(info, keys) !== undefined) return;
  const signers = info.signatures.map((signature) => signature.split(":")[0]);
  throw failure("not-signed", `what ${name} says of ${path} is not signed by a trusted key`, {
    expected: `a right signature of ${keys.map((key) => key.name).join(" or ") || "a key that is trusted: none is"}`,
    ...(signers.length > 0 && { hint: `it bears the names ${signers.join(", ")}` }),
  });
}
