import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { failure } from "../base/error.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import type { Store } from "./store.ts";
import { isItemName } from "./store-path.ts";

/**
 * The valid item that a person means: by its path, its place in this store, a link to either, a path inside it, or its
 * base name.
 *
 * @throws MesoError `no-such-item`.
 */
export function findItem(store: Store, items: Items, said: string, folder = process.cwd()): ItemRecord {
  const name = itemNameOf(store, items, said, folder);
  const record = name === undefined ? undefined : items.record(`${items.prefix}/${name}`);
  if (record) return record;
  throw failure("no-such-item", `${said} is no item of the store ${store.directory}`, {
    expected: `a path such as ${items.prefix}/HASH-NAME, or a link to one`,
    ...(name === undefined && existsSync(resolve(folder, said)) && { hint: "that is a file outside the store" }),
  });
}

/** How many links may lead to each other, as the kernel has it. */
const mostLinks = 40;

function itemNameOf(store: Store, items: Items, said: string, folder: string): string | undefined {
  let place = said.includes("/") || lstatSync(resolve(folder, said), { throwIfNoEntry: false }) ? said : undefined;
  if (place === undefined) return isItemName(said) ? said : undefined;
  place = resolve(folder, place);
  for (let links = 0; links < mostLinks; links++) {
    for (const start of [items.prefix, join(store.directory, "store")]) {
      const [name] = place.startsWith(`${start}/`) ? place.slice(start.length + 1).split("/") : [];
      if (name !== undefined && isItemName(name)) return name;
    }
    const status = lstatSync(place, { throwIfNoEntry: false });
    if (!status) return undefined;
    if (status.isSymbolicLink()) place = resolve(dirname(place), readlinkSync(place));
    else return undefined;
  }
  return undefined;
}
