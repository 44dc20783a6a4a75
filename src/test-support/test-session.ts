import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildSession } from "../build/session.ts";
import { openStore } from "../store/store.ts";

/**
 * A session on the store that the tests share between runs, so that archives are fetched once: in the project's
 * `.cache`, or where `MESO_TEST_CACHE` says. Its lock is the tests' own and is made by the first of them.
 */
export function testSession(): BuildSession {
  const folder = testCacheFolder();
  return {
    store: openStore(join(folder, "store")),
    lockFile: join(folder, "meso.lock"),
    report: () => {},
    signal: new AbortController().signal,
    stages: new Map(),
  };
}

/**
 * The same session upon a store of its own that shares archives, indices and segments, but nothing that was made of
 * them. `remove` takes it away.
 */
export function freshSession(): BuildSession & { readonly remove: () => void } {
  const shared = testSession();
  const folder = mkdtempSync(join(testCacheFolder(), "store-"));
  for (const part of ["archives", "indices", "segments"]) {
    symlinkSync(join(shared.store.directory, part), join(folder, part));
  }
  return { ...shared, store: openStore(folder), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Where tests keep what is expensive to get: never inside the sources, never shared with a person's own store. */
export function testCacheFolder(): string {
  const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const folder = process.env.MESO_TEST_CACHE ?? join(project, ".cache", "test");
  mkdirSync(folder, { recursive: true });
  return folder;
}
