import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import { aText, isRecord, mismatch } from "../base/shape.ts";
import { type BinaryCache, openBinaryCache } from "./binary-cache.ts";
import { readPublicKey } from "./narinfo.ts";
import type { Store } from "./store.ts";

/** A cache that the people of a store have chosen, and whose word they take. */
export interface CacheSetting {
  /** As for `openBinaryCache`. */
  readonly address: string;
  /** Public keys, `NAME:BASE64`: what is signed by one of them is believed. */
  readonly keys: readonly string[];
}

/**
 * The caches of a store, in the order in which they are preferred: kept in the store itself, in `caches.json`.
 *
 * @throws MesoError `bad-caches` when the file was damaged.
 */
export function cacheSettings(store: Store): readonly CacheSetting[] {
  let text: string;
  try {
    text = readFileSync(settingsFile(store), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return parseSettings(text, settingsFile(store));
}

/** @throws MesoError `bad-cache`, `bad-cache-key`. */
export function writeCacheSettings(store: Store, settings: readonly CacheSetting[]): void {
  for (const setting of settings) openSetting(setting);
  const aside = store.temporaryPath();
  writeFileSync(aside, `${JSON.stringify({ caches: settings }, undefined, 2)}\n`, { flush: true });
  renameSync(aside, settingsFile(store));
}

/** @throws MesoError `bad-cache`, `bad-cache-key`, `bad-caches`. */
export function configuredCaches(store: Store): readonly BinaryCache[] {
  return cacheSettings(store).map(openSetting);
}

function openSetting({ address, keys }: CacheSetting): BinaryCache {
  return openBinaryCache(address, keys.map(readPublicKey));
}

const settingsFile = (store: Store): string => join(store.directory, "caches.json");

function parseSettings(text: string, file: string): readonly CacheSetting[] {
  const bad = (what: string) =>
    failure("bad-caches", `${file}: ${what}`, {
      expected: '{ "caches": [{ "address": "https://…", "keys": ["NAME:BASE64"] }] }',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  const caches = isRecord(value) ? value.caches : undefined;
  if (!Array.isArray(caches)) throw bad("it has no list of caches");
  return caches.map((one: unknown) => {
    if (!isRecord(one) || !Array.isArray(one.keys)) throw bad("a cache has no list of keys");
    const { address, keys } = one;
    for (const part of [address, ...keys]) if (mismatch(part, aText)) throw bad("an address or key is no text");
    return { address: address as string, keys: keys as string[] };
  });
}
