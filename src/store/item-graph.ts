import { basename } from "node:path";
import { sortedBy } from "../base/order.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { type Holder, type MarkOptions, markItems } from "./mark-items.ts";
import type { Store } from "./store.ts";

export interface ItemSize {
  readonly path: string;
  /** Of its own archive. */
  readonly bytes: number;
  /** With everything that it needs. */
  readonly closureBytes: number;
}

/** The items of a closure and what each weighs, the heaviest first. */
export function closureSizes(items: Items, paths: readonly string[]): readonly ItemSize[] {
  const records = new Map(items.closure(paths).map((path) => [path, items.record(path)!]));
  const sizes = [...records.values()].map(({ path, narSize }) => {
    const needed = new Set([path]);
    for (const one of needed) for (const other of records.get(one)!.references) needed.add(other);
    const closureBytes = [...needed].reduce((sum, one) => sum + records.get(one)!.narSize, 0);
    return { path, bytes: narSize, closureBytes };
  });
  return sizes.sort((a, b) => b.closureBytes - a.closureBytes);
}

/** The items that refer to this one, sorted by path; with `all`, those that refer to them too, and so on. */
export function referrersOf(items: Items, path: string, all: boolean): readonly string[] {
  const referrers = new Map<string, string[]>();
  for (const { path: from, references } of items.all()) {
    for (const to of references) if (to !== from) referrers.set(to, [...(referrers.get(to) ?? []), from]);
  }
  const found = new Set<string>();
  const queue = [...(referrers.get(path) ?? [])];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    if (all) queue.push(...(referrers.get(next) ?? []));
  }
  return sortedBy(found, (one) => one);
}

/** One way on which a holder reaches an item: each needs the next, or was made by it. */
export interface WayToItem {
  readonly holder: Holder;
  /** Paths; the last one is the item. */
  readonly way: readonly string[];
}

/** Why an item stays: for each holder that reaches it, a shortest way. Nothing for one that a collection would take. */
export function whyItemStays(store: Store, items: Items, path: string, options: MarkOptions): readonly WayToItem[] {
  const { records, holders } = markItems(store, items, options);
  return holders.flatMap((holder) => {
    const way = shortestWay(records, holder.items, basename(path));
    return way ? [{ holder, way: way.map((name) => `${items.prefix}/${name}`) }] : [];
  });
}

function shortestWay(
  records: ReadonlyMap<string, ItemRecord>,
  from: readonly string[],
  to: string,
): readonly string[] | undefined {
  const before = new Map<string, string | undefined>(
    from.filter((name) => records.has(name)).map((name) => [name, undefined]),
  );
  for (const name of before.keys()) {
    if (name === to) return wayTo(before, to);
    const { references, deriver } = records.get(name)!;
    for (const other of [...references, ...(deriver === undefined ? [] : [deriver])].map((one) => basename(one))) {
      // A map is walked in the order in which it grows: nearer ones come first.
      if (records.has(other) && !before.has(other)) before.set(other, name);
    }
  }
  return undefined;
}

function wayTo(before: ReadonlyMap<string, string | undefined>, to: string): string[] {
  const way: string[] = [];
  for (let at: string | undefined = to; at !== undefined; at = before.get(at)) way.unshift(at);
  return way;
}
