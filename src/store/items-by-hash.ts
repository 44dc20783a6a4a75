import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import type { Store } from "./store.ts";

/** Finds items by the hash in their names, which is all that is asked of a cache. */
export interface ItemsByHash {
  item(hash: string): ItemRecord | undefined;
  /** How many there were when it was last looked. */
  count(): number;
}

/** Names are listed anew, at most once a second, when one is asked for that was not there and something has changed. */
export function itemsByHash(store: Store, items: Items): ItemsByHash {
  const folder = join(store.directory, "records");
  let names = new Map<string, string>();
  let listedAt = Number.NEGATIVE_INFINITY;
  let changedAt = -1;

  const list = (): void => {
    if (performance.now() - listedAt < 1000) return;
    listedAt = performance.now();
    const { mtimeMs } = statSync(folder);
    // Changes within one tick of the file system's clock look alike: what is that new is listed again.
    if (mtimeMs === changedAt && Date.now() - mtimeMs > 2000) return;
    changedAt = mtimeMs;
    names = new Map(readdirSync(folder).map((name) => [name.slice(0, 32), name]));
  };
  const lookUp = (hash: string): ItemRecord | undefined => {
    const name = names.get(hash);
    return name === undefined ? undefined : items.record(`${items.prefix}/${name}`);
  };
  return {
    count: () => {
      list();
      return names.size;
    },
    item: (hash) => {
      const known = lookUp(hash);
      if (known) return known;
      list();
      return lookUp(hash);
    },
  };
}
