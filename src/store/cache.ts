import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256 } from "../base/hash.ts";

/**
 * The value kept under `key`, or the one that `compute` gives, which is then kept. `key` must name
 * everything that the value depends on, the version of the computation included.
 */
export type Cached = <T>(key: string, compute: () => T | Promise<T>) => Promise<T>;

/** Values that are kept between runs, as JSON. */
export interface Cache {
  readonly cached: Cached;
  /** The value kept under `key`; undefined when there is none. For what is observed, not computed. */
  readonly recall: (key: string) => unknown;
  /** Keeps `value` under `key`, in place of what was there. */
  readonly remember: (key: string, value: unknown) => void;
}

/** Derived values as JSON files, one a key. A file that cannot be read is a value not kept. */
export function createCache(directory: string, temporaryPath: () => string): Cache {
  const fileOf = (key: string): string => {
    const digest = sha256(key);
    return join(directory, digest.slice(0, 2), `${digest.slice(2)}.json`);
  };
  const remember = (key: string, value: unknown): string => {
    const text = JSON.stringify({ key, value });
    const file = fileOf(key);
    const aside = temporaryPath();
    writeFileSync(aside, text);
    mkdirSync(dirname(file), { recursive: true });
    renameSync(aside, file);
    return text;
  };
  return {
    async cached(key, compute) {
      const kept = readKept(fileOf(key), key);
      if (kept) return kept.value as never;
      // What the next reader will get, so that the first run and later ones see the same shape.
      return (JSON.parse(remember(key, await compute())) as { value: never }).value;
    },
    recall: (key) => readKept(fileOf(key), key)?.value,
    remember: (key, value) => void remember(key, value),
  };
}

function readKept(file: string, key: string): { readonly value: unknown } | undefined {
  try {
    const kept = JSON.parse(readFileSync(file, "utf8")) as { key: string; value: unknown };
    return kept.key === key ? kept : undefined;
  } catch {
    return undefined;
  }
}
