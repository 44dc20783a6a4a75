import { lstatSync, readFileSync } from "node:fs";
import { formatBytes } from "../../base/progress.ts";
import { parseSize } from "../../base/size.ts";
import { type Collectable, type Collected, type CollectionOptions, collect, collectable } from "../../store/collect.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { parseDuration, type StoreSession, storeSession } from "../store-session.ts";

export const gc: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {
    free: { type: "string", placeholder: "SIZE", description: "stop when so much is free again: 10G" },
    "dry-run": { type: "boolean", short: "n", description: "say what would go and what holds what, and stop" },
    grace: { type: "string", placeholder: "TIME", description: "keep items younger than this (default: 1h)" },
    "unused-for": {
      type: "string",
      placeholder: "TIME",
      description: "take segments, logs and cached values not used for so long (default: 30d)",
    },
  },
  examples: ["gc --dry-run", "gc --free 10G", "gc --unused-for 7d"],
  details:
    "Removes items that no root, no running command and no running program needs; and segments, archives, indices, logs and\n" +
    "cached values that no known meso.lock pins and nobody has used for long. Builds may run meanwhile. meso roots tells what\n" +
    "is held, meso why PATH why one item stays.",
  run: async (context) => {
    const session = storeSession(context);
    const options = collectionOptions(context);
    if (context.options["dry-run"] === true) {
      const found = collectable(session.store, session.items, options);
      if (context.json) context.print(JSON.stringify(asJson(found), undefined, 2));
      else for (const line of reportLines(session, found, options)) context.print(line);
      return exitCodes.success;
    }
    const started = performance.now();
    const done = await collect(session.store, session.items, {
      ...options,
      signal: context.signal,
      onRemoved: (bytes) => context.report({ stage: "gc", text: `${formatBytes(bytes)} freed` }),
    });
    context.report({ stage: "gc", text: "done", seconds: (performance.now() - started) / 1000 });
    context.print(context.json ? JSON.stringify(done, undefined, 2) : outcome(done, options));
    return exitCodes.success;
  },
};

function collectionOptions({ options }: CommandContext): CollectionOptions {
  const { free } = options;
  const seconds = (name: string, usual: string): number => {
    const said = options[name];
    return parseDuration(name, typeof said === "string" ? said : usual);
  };
  return {
    now: Math.floor(Date.now() / 1000),
    graceSeconds: seconds("grace", "1h"),
    unusedSeconds: seconds("unused-for", "30d"),
    ...(typeof free === "string" && { freeBytes: parseSize(free) }),
  };
}

function outcome({ items, files, bytes, spared }: Collected, { freeBytes }: CollectionOptions): string {
  const said = `${formatBytes(bytes)} freed: ${items} items, ${files} other files`;
  const kept = spared > 0 ? `; ${spared} were taken into use meanwhile and stay` : "";
  const short =
    freeBytes !== undefined && bytes < freeBytes
      ? `\nthat is less than ${formatBytes(freeBytes)}: nothing else may go. meso roots tells what is held; --unused-for 7d takes more`
      : "";
  return said + kept + short;
}

function* reportLines(
  { store }: StoreSession,
  { marked, files, items, unused, bytes }: Collectable,
  { freeBytes }: CollectionOptions,
): Generator<string> {
  const liveBytes = [...marked.live].reduce((sum, name) => sum + marked.records.get(name)!.narSize, 0);
  yield `${store.directory}: ${marked.records.size} items, of which ${marked.live.size} stay (${formatBytes(liveBytes)})`;
  const holders = [...marked.holders].sort((a, b) => b.aloneBytes - a.aloneBytes);
  for (const { name, aloneBytes, aloneItems } of holders) {
    yield `  ${name}: alone holds ${aloneItems} items, ${formatBytes(aloneBytes)}`;
  }
  for (const [lock, held] of files.locked) {
    if (held.length > 0) yield `  ${lock}: holds ${held.length} unused files, ${formatBytes(totalBytes(held))}`;
  }
  yield `would go: ${formatBytes(bytes)}${freeBytes === undefined ? "" : ` of ${formatBytes(freeBytes)} asked for`}`;
  const groups = [
    ...items.map((record) => ({ kind: "item", bytes: record.narSize, uid: ownerOf(store.directory, record.path) })),
    ...unused,
  ];
  for (const [label, group] of grouped(groups)) {
    yield `  ${label}: ${group.length}, ${formatBytes(totalBytes(group))}`;
  }
}

interface Sized {
  readonly bytes: number;
}

function totalBytes(files: readonly Sized[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** By kind and owner, the largest group first. */
function grouped(all: readonly (Sized & { readonly kind: string; readonly uid: number })[]) {
  const groups = new Map<string, Sized[]>();
  const names = userNames();
  for (const one of all) {
    const label = `${one.kind} of ${names.get(one.uid) ?? `user ${one.uid}`}`;
    const group = groups.get(label);
    if (group) group.push(one);
    else groups.set(label, [one]);
  }
  return [...groups].sort(([, a], [, b]) => totalBytes(b) - totalBytes(a));
}

function ownerOf(directory: string, path: string): number {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return lstatSync(`${directory}/records/${name}`, { throwIfNoEntry: false })?.uid ?? 0;
}

/** Who is known by name on this host (passwd(5)). */
function userNames(): ReadonlyMap<number, string> {
  try {
    const lines = readFileSync("/etc/passwd", "utf8").trim().split("\n");
    return new Map(lines.map((line) => line.split(":")).map(([name, , uid]) => [Number(uid), name!]));
  } catch {
    return new Map();
  }
}

function asJson({ marked, files, items, unused, bytes }: Collectable): unknown {
  return {
    bytes,
    items: items.map(({ path, narSize, registeredSeconds }) => ({ path, bytes: narSize, registeredSeconds })),
    files: unused,
    stays: {
      items: marked.live.size,
      holders: marked.holders.map(({ name, kind, aloneBytes, aloneItems }) => ({ name, kind, aloneBytes, aloneItems })),
      locks: [...files.locked].map(([name, held]) => ({ name, files: held.length, bytes: totalBytes(held) })),
    },
  };
}
