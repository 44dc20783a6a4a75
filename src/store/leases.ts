import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isHeld } from "./lock.ts";
import { ownerIsGone, ownerTag } from "./owner.ts";

/**
 * What a process uses, in a file of its own: no collection takes those items, nor what they need. It lasts until it is
 * released or its process dies.
 *
 * Who uses an item says so first and looks whether it is valid afterwards; a collection takes the lock `sweep`, reads
 * all leases, and only then takes a few items away. So whatever the two do at once, either the collection sees the
 * lease, or the user sees that the item is gone. No user ever waits for more than a few items to be renamed.
 */
export interface Lease {
  /** From here on, those of the items (paths) that are valid stay so. */
  hold(paths: Iterable<string>): Promise<void>;
  /** Says that the process uses the store at all: segments that it uses from now on stay too. */
  open(): void;
  release(): void;
}

/** Held while a collection runs: leases are then left for it to see, also by who is done. */
export const collectionLock = "collection";
/** Held while a collection takes a few items away. */
export const sweepLock = "sweep";

/** A lease in the store at `directory`; its file is made when something is first held. */
export function takeLease(directory: string): Lease {
  const locks = join(directory, "locks");
  let file: { readonly path: string; readonly descriptor: number; readonly beat: NodeJS.Timeout } | undefined;
  let held = new Set<string>();

  const opened = () => {
    if (file) return file;
    const path = join(directory, "leases", `${ownerTag()}.${leaseCounter++}`);
    const descriptor = openSync(path, "ax");
    // From another container nobody can see whether we still run: what is renewed is alive.
    const beat = setInterval(() => renew(path), beatMilliseconds).unref();
    writeSync(descriptor, `since ${Math.floor(Date.now() / 1000)}\n`);
    file = { path, descriptor, beat };
    return file;
  };
  return {
    open: () => void opened(),
    hold: async (paths) => {
      const fresh = [...paths].filter((path) => !held.has(path));
      if (fresh.length === 0) return;
      writeSync(opened().descriptor, fresh.map((path) => `${basename(path)}\n`).join(""));
      while (isHeld(join(locks, sweepLock))) await sleep(1);
      for (const path of fresh) held.add(path);
    },
    release: () => {
      held = new Set();
      if (!file) return;
      clearInterval(file.beat);
      closeSync(file.descriptor);
      // A collection that runs may not have seen a root that was made while this lease held its target.
      if (!isHeld(join(locks, collectionLock))) rmSync(file.path, { force: true });
      file = undefined;
    },
  };
}

/** Counts in the whole process. */
let leaseCounter = 0;

const beatMilliseconds = 60_000;

function renew(path: string): void {
  const now = Date.now() / 1000;
  try {
    utimesSync(path, now, now);
  } catch {
    // The store was removed under us: nobody is left to tell.
  }
}

/** Whether an owner's tag is that of a process that renews its lease: also one in another container, or long at work. */
export function hasLease(directory: string): (owner: string) => boolean {
  let owners: Set<string> | undefined;
  return (owner) => {
    const folder = join(directory, "leases");
    owners ??= new Set(
      readdirSync(folder)
        .filter((name) => !isLeftBehind(folder, name))
        .map((name) => name.split(".")[0]!),
    );
    return owners.has(owner);
  };
}

/** Removes the leases of processes that are gone, unless a collection runs that may need to see them. */
export function sweepLeases(directory: string): void {
  const folder = join(directory, "leases");
  mkdirSync(folder, { recursive: true });
  const names = readdirSync(folder);
  if (names.length > 0 && !isHeld(join(directory, "locks", collectionLock))) removeDeadLeases(directory);
}

/** For the collection itself, before it looks at the roots. */
export function removeDeadLeases(directory: string): void {
  const folder = join(directory, "leases");
  for (const name of readdirSync(folder)) if (isLeftBehind(folder, name)) rmSync(join(folder, name), { force: true });
}

function isLeftBehind(folder: string, name: string): boolean {
  const status = statSync(join(folder, name), { throwIfNoEntry: false });
  return status !== undefined && ownerIsGone(name.split(".")[0]!, Date.now() - status.mtimeMs);
}

export interface Leases {
  /** Base names of what is held. */
  readonly held: ReadonlySet<string>;
  /** When the first of the living processes began to use the store, in seconds since 1970; undefined when there is none. */
  readonly since?: number;
}

/** All leases; those of processes that died during a collection count too, since their roots may be newer than it. */
export function readLeases(directory: string): Leases {
  const folder = join(directory, "leases");
  const held = new Set<string>();
  let since: number | undefined;
  for (const name of readdirSync(folder)) {
    let text: string;
    try {
      text = readFileSync(join(folder, name), "utf8");
    } catch {
      continue;
    }
    // The last line may be half written: then its writer has not looked yet.
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    for (const line of lines) {
      const start = /^since (\d+)$/.exec(line);
      if (start) since = Math.min(since ?? Number.POSITIVE_INFINITY, Number(start[1]));
      else if (line !== "") held.add(line);
    }
  }
  return { held, ...(since !== undefined && { since }) };
}
