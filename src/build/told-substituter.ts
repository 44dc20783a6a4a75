import { formatBytes, type Report } from "../base/progress.ts";
import type { BinaryCache } from "../store/binary-cache.ts";
import type { Items } from "../store/items.ts";
import type { Store } from "../store/store.ts";
import { nameOfPath } from "../store/store-path.ts";
import { createSubstituter, type Substituter } from "../store/substitute.ts";

/** A substituter that reports what it fetches from which cache, and why one is of no use. */
export function toldSubstituter(
  { store, report, signal }: { readonly store: Store; readonly report: Report; readonly signal: AbortSignal },
  items: Items,
  caches: readonly BinaryCache[],
): Substituter {
  // Each is over when it is told, so that it stays on a terminal and stands in logs.
  const told = (text: string) => report({ stage: "fetch", text, seconds: 0 });
  return createSubstituter(store, items, caches, {
    signal,
    onTrouble: ({ message }) => told(message.split("\n")[0]!),
    onFetched: ({ storePath, narSize }, { name }) =>
      told(`${nameOfPath(storePath)}, ${formatBytes(narSize)}, from ${name}`),
  });
}
