import { basename, join } from "node:path";
import { sortedBy } from "../base/order.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { readLeases } from "./leases.ts";
import { type Root, readRoots } from "./roots.ts";
import { itemsOfRunningPrograms } from "./running-programs.ts";
import type { Store } from "./store.ts";

/** Why items stay. */
export interface Holder {
  /** A root's name, or a sentence fragment. */
  readonly name: string;
  readonly kind: Root["kind"] | "process" | "program" | "recent";
  /** Base names of what it holds itself. */
  readonly items: readonly string[];
  /** Of the archives of what nothing else holds: what would go with it. */
  readonly aloneBytes: number;
  readonly aloneItems: number;
}

export interface MarkedItems {
  /** By base name. */
  readonly records: ReadonlyMap<string, ItemRecord>;
  readonly live: ReadonlySet<string>;
  readonly holders: readonly Holder[];
  /** What nothing holds, in an order in which it can go: nothing before what needs it; of others, the oldest first. */
  readonly dead: readonly ItemRecord[];
}

export interface MarkOptions {
  /** Seconds since 1970. */
  readonly now: number;
  /** Items that came within so many seconds stay: whoever made them may not have made a root yet. */
  readonly graceSeconds: number;
}

/**
 * Every item of a store, and what holds it: roots, processes, programs that run, its youth. What is held holds what it
 * refers to and the derivation that made it, so that what stays can be explained, though not what that needs to be built.
 */
export function markItems(store: Store, items: Items, { now, graceSeconds }: MarkOptions): MarkedItems {
  // Holders first: what becomes valid later is not among the records.
  const roots = readRoots(store);
  const { held } = readLeases(store.directory);
  const running = itemsOfRunningPrograms([join(store.directory, "store"), items.prefix]);
  const records = new Map<string, ItemRecord>();
  for (const record of items.all()) records.set(basename(record.path), record);
  const recent = [...records].filter(([, { registeredSeconds }]) => registeredSeconds > now - graceSeconds);
  const wanted: readonly Omit<Holder, "aloneBytes" | "aloneItems">[] = [
    ...roots.flatMap(({ name, kind, item }) => (item === undefined ? [] : [{ name, kind, items: [item] }])),
    { name: "processes of meso that run", kind: "process", items: [...held] },
    { name: "programs that run from the store", kind: "program", items: [...running] },
    { name: "made a short while ago", kind: "recent", items: recent.map(([name]) => name) },
  ];
  const holderOf = colour(
    records,
    wanted.map((holder) => holder.items),
  );
  const alone = wanted.map(() => ({ bytes: 0, items: 0 }));
  for (const [name, index] of holderOf) {
    if (index === severalHolders) continue;
    alone[index]!.bytes += records.get(name)!.narSize;
    alone[index]!.items++;
  }
  return {
    records,
    live: new Set(holderOf.keys()),
    holders: wanted.flatMap((holder, i) =>
      holder.items.some((name) => records.has(name))
        ? [{ ...holder, aloneBytes: alone[i]!.bytes, aloneItems: alone[i]!.items }]
        : [],
    ),
    dead: inOrderOfGoing([...records].filter(([name]) => !holderOf.has(name)).map(([, record]) => record)),
  };
}

/** The items that stay when `names` do, added to `live`. */
export function extendLive(records: ReadonlyMap<string, ItemRecord>, names: Iterable<string>, live: Set<string>): void {
  const queue = [...names];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (live.has(name) || !records.has(name)) continue;
    live.add(name);
    queue.push(...neededBy(records.get(name)!));
  }
}

const severalHolders = -1;

/**
 * For each item that any of the holders reaches, the number of the one that does, or that there are several. Every item
 * is looked at twice at most, however many holders there are.
 */
function colour(
  records: ReadonlyMap<string, ItemRecord>,
  holders: readonly (readonly string[])[],
): ReadonlyMap<string, number> {
  const colours = new Map<string, number>();
  for (const [index, names] of holders.entries()) {
    const queue = [...names];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const before = colours.get(name);
      const record = records.get(name);
      if (!record || before === index || before === severalHolders) continue;
      colours.set(name, before === undefined ? index : severalHolders);
      queue.push(...neededBy(record));
    }
  }
  return colours;
}

function neededBy({ references, deriver }: ItemRecord): string[] {
  const needed = references.map((path) => basename(path));
  if (deriver !== undefined) needed.push(basename(deriver));
  return needed;
}

/** Layer by layer: what nothing dead refers to, then what only the former did. Oldest first within a layer. */
function inOrderOfGoing(dead: readonly ItemRecord[]): readonly ItemRecord[] {
  const byPath = new Map(dead.map((record) => [record.path, record]));
  const referrers = new Map<string, number>();
  const neededOf = ({ path, references, deriver }: ItemRecord): string[] =>
    [...references, ...(deriver === undefined ? [] : [deriver])].filter((other) => other !== path && byPath.has(other));
  for (const record of dead)
    for (const other of neededOf(record)) referrers.set(other, (referrers.get(other) ?? 0) + 1);
  const ordered: ItemRecord[] = [];
  for (let layer = dead.filter(({ path }) => !referrers.has(path)); layer.length > 0; ) {
    layer = sortedBy(layer, ({ path }) => path).sort((a, b) => a.registeredSeconds - b.registeredSeconds);
    ordered.push(...layer);
    const next: ItemRecord[] = [];
    for (const record of layer) {
      for (const other of neededOf(record)) {
        const left = referrers.get(other)! - 1;
        referrers.set(other, left);
        if (left === 0) next.push(byPath.get(other)!);
      }
    }
    layer = next;
  }
  return ordered;
}
