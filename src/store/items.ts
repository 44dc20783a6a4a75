import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { assert, failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { canonicaliseItem, sealItem } from "./canonical-item.ts";
import { type ItemRecord, parseItemRecord } from "./item-record.ts";
import { narHash, writeNar } from "./nar.ts";
import { removeTree } from "./remove-tree.ts";
import { referenceScanner } from "./scan-references.ts";
import type { Store } from "./store.ts";
import { logicalStore, sourcePath, textPath } from "./store-path.ts";

/**
 * The items of a store: files and trees that are named by how they are made, never change, and say which others they
 * need. An item is valid when its record is there: one small file for each, published by a rename after the item itself
 * lies in its place. So any number of processes share the registry without a server or a database to lock or to repair;
 * looking one up and registering one cost the same however many there are.
 */
export interface Items {
  /** What logical paths start with. */
  readonly prefix: string;
  /** Where the item of a logical path lies, or would lie. */
  physicalPath(path: string): string;
  /** What is known of a valid item; undefined for any other path. */
  record(path: string): ItemRecord | undefined;
  /** Every valid item, in no order. */
  all(): Iterable<ItemRecord>;
  /** Adds a text. Gives its path. */
  addText(name: string, contents: string | Uint8Array, references?: readonly string[]): Promise<string>;
  /** Adds a copy of a file or tree of the host; modes but the owner's execute bit, owners and times are left behind. */
  addTree(name: string, from: string): Promise<string>;
  /** Takes what was made at `from` (on the store's file system; moved, not copied) as the item `path`. */
  register(path: string, from: string, facts: RegistrationFacts): Promise<ItemRecord>;
  /** The paths and everything they need, transitively, sorted. */
  closure(paths: Iterable<string>): string[];
  /** What is wrong with the valid items at `paths` (with all of them when not given): nothing, when all is well. */
  verify(paths?: Iterable<string>): { readonly path: string; readonly problem: string }[];
}

export interface RegistrationFacts {
  /** Paths that it may refer to; those whose hashes occur in it become its references. */
  readonly mayReferTo: readonly string[];
  /** The derivation that made it. */
  readonly deriver?: string;
}

/** The store's items. `prefix` is for tests with vectors of other stores. */
export function openItems(store: Store, prefix = logicalStore): Items {
  const folder = join(store.directory, "store");
  const records = join(store.directory, "records");
  for (const path of [folder, records]) mkdirSync(path, { recursive: true });

  const baseName = (path: string): string => {
    const name = path.slice(prefix.length + 1);
    if (path.startsWith(`${prefix}/`) && /^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}$/.test(name)) return name;
    throw failure("bad-store-path", `${JSON.stringify(path)} is no path of an item`, {
      expected: `${prefix}/, 32 characters of base-32, a hyphen and a name`,
    });
  };
  const physicalPath = (path: string): string => join(folder, baseName(path));
  const record = (path: string): ItemRecord | undefined => readRecord(join(records, baseName(path)), path);

  const register: Items["register"] = async (path, from, facts) => {
    canonicaliseItem(from);
    return publish(path, from, facts);
  };

  /** Moves what is canonical already. Whoever comes second keeps what the first has put there. */
  const publish = async (path: string, from: string, facts: RegistrationFacts): Promise<ItemRecord> => {
    const name = baseName(path);
    const held = await store.lock(`item-${name}`);
    try {
      const known = record(path);
      if (known) return known;
      const fresh = describeItem(path, from, facts);
      // What lies there without a record was left by somebody who died between the two renames.
      removeTree(join(folder, name));
      renameSync(from, join(folder, name));
      sealItem(join(folder, name));
      const aside = store.temporaryPath();
      writeDurably(aside, canonicalJson(fresh));
      renameSync(aside, join(records, name));
      return fresh;
    } finally {
      held.release();
      removeTree(from);
    }
  };

  const closure = (paths: Iterable<string>): string[] => {
    const found = new Set<string>();
    const queue = [...paths];
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (found.has(path)) continue;
      found.add(path);
      const known = record(path);
      if (!known) throw failure("missing-item", `${path} is not in the store`);
      queue.push(...known.references);
    }
    return sortedBy(found, (path) => path);
  };

  const all = function* (): Generator<ItemRecord> {
    for (const name of readdirSync(records)) {
      const known = record(`${prefix}/${name}`);
      if (known) yield known;
    }
  };

  return {
    prefix,
    physicalPath,
    record,
    all,
    register,
    closure,
    addText: async (name, contents, references = []) => {
      const path = textPath(name, contents, references, prefix);
      if (record(path)) return path;
      const aside = store.temporaryPath();
      writeFileSync(aside, contents, { flag: "wx" });
      await register(path, aside, { mayReferTo: references });
      return path;
    },
    addTree: async (name, from) => {
      const aside = store.temporaryPath();
      cpSync(from, aside, { recursive: true, verbatimSymlinks: true, errorOnExist: true });
      dropSpecialModes(aside);
      canonicaliseItem(aside);
      const path = sourcePath(name, narHash(aside).sha256, [], prefix);
      await publish(path, aside, { mayReferTo: [] });
      return path;
    },
    verify: (paths) => {
      const chosen = paths ? [...paths] : readdirSync(records).map((name) => `${prefix}/${name}`);
      return sortedBy(chosen, (path) => path).flatMap((path) => {
        const problem = problemOf(path, record(path), physicalPath(path), (other) => record(other) !== undefined);
        return problem === undefined ? [] : [{ path, problem }];
      });
    },
  };
}

function describeItem(path: string, from: string, { mayReferTo, deriver }: RegistrationFacts): ItemRecord {
  const byHash = new Map([...mayReferTo, path].map((other) => [basename(other).slice(0, 32), other]));
  const scanner = referenceScanner(byHash.keys());
  const hash = createHash("sha256");
  let narSize = 0;
  writeNar(from, (piece) => {
    hash.update(piece);
    scanner.pass(piece);
    narSize += piece.length;
  });
  return {
    path,
    narSha256: hash.digest("hex"),
    narSize,
    references: sortedBy(scanner.found, (found) => byHash.get(found)!).map((found) => byHash.get(found)!),
    ...(deriver !== undefined && { deriver }),
    // Operational: when it came, for people and for the grace period of a collection. Part of no hash.
    registeredSeconds: Math.floor(Date.now() / 1000),
  };
}

function readRecord(file: string, path: string): ItemRecord | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return parseItemRecord(text, path);
}

function problemOf(
  path: string,
  known: ItemRecord | undefined,
  place: string,
  isValid: (path: string) => boolean,
): string | undefined {
  if (!known) return "it is not valid: the store has no record of it that can be read";
  if (!lstatSync(place, { throwIfNoEntry: false })) return `it is gone from ${place}`;
  const { sha256, size } = narHash(place);
  if (sha256 !== known.narSha256) {
    return `its contents have SHA-256 ${sha256} (${size} bytes), but ${known.narSha256} (${known.narSize} bytes) was registered`;
  }
  const lost = known.references.find((reference) => reference !== path && !isValid(reference));
  return lost && `it refers to ${lost}, which is not valid`;
}

/** Of a source only the execute bit counts; a setuid program of the host becomes an ordinary file. */
function dropSpecialModes(path: string): void {
  const status = lstatSync(path);
  if (status.isDirectory()) for (const name of readdirSync(path)) dropSpecialModes(join(path, name));
  else if (status.isFile() && (status.mode & 0o7000) !== 0) chmodSync(path, status.mode & 0o777);
}

function writeDurably(path: string, text: string): void {
  assert(!existsSync(path), `${path} is a fresh name`);
  const file = openSync(path, "wx");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
