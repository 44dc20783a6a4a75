import { chmodSync, cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { canonicaliseItem } from "./canonical-item.ts";
import { type ItemRecord, parseItemRecord } from "./item-record.ts";
import { narHash } from "./nar.ts";
import {
  finishAbandonedRegistrations,
  finishRegistration,
  type KnownItem,
  type MadeItem,
  registerItems,
  registerKnownItem,
} from "./registration.ts";
import type { Store } from "./store.ts";
import { isItemName, logicalStore, sourcePath, textPath } from "./store-path.ts";

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
  /** The same for outputs of one build: all of them become valid, or none, whenever the process dies. */
  registerAll(made: readonly MadeItem[]): Promise<readonly ItemRecord[]>;
  /** Takes what lies somewhere, canonical and verified by the caller, as the item that the record describes. */
  adopt(known: KnownItem): Promise<void>;
  /** Ends what a process that died had left of such a registration. */
  finishRegistration(paths: readonly { readonly path: string }[]): Promise<void>;
  /** The same for whatever processes that died have left. */
  finishAbandoned(): Promise<void>;
  /** From here on, those of the paths that are valid stay so until this process ends, with what they need. */
  hold(paths: Iterable<string>): Promise<void>;
  /** The paths and everything they need, transitively, sorted. */
  closure(paths: Iterable<string>): string[];
  /** What is wrong with the valid items at `paths` (with all of them when not given): nothing, when all is well. */
  verify(paths?: Iterable<string>): { readonly path: string; readonly problem: string }[];
}

export type RegistrationFacts = Omit<MadeItem, "path" | "from">;

/** The store's items. `prefix` is for tests with vectors of other stores. */
export function openItems(store: Store, prefix = logicalStore): Items {
  const folder = join(store.directory, "store");
  const records = join(store.directory, "records");
  for (const path of [folder, records]) mkdirSync(path, { recursive: true });

  const baseName = (path: string): string => {
    const name = path.slice(prefix.length + 1);
    if (path.startsWith(`${prefix}/`) && isItemName(name)) return name;
    throw failure("bad-store-path", `${JSON.stringify(path)} is no path of an item`, {
      expected: `${prefix}/, 32 characters of base-32, a hyphen and a name`,
    });
  };
  const physicalPath = (path: string): string => join(folder, baseName(path));
  const recordFile = (path: string): string => join(records, baseName(path));
  const record = (path: string): ItemRecord | undefined => readRecord(recordFile(path), path);

  const places = { store, physicalPath, recordFile, record };

  const registerAll: Items["registerAll"] = (made) => {
    for (const { path, from } of made) {
      baseName(path);
      canonicaliseItem(from);
    }
    return registerItems(places, made);
  };
  const register: Items["register"] = async (path, from, facts) => (await registerAll([{ path, from, ...facts }]))[0]!;

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
    registerAll,
    adopt: async (known) => {
      for (const path of [known.record.path, ...known.record.references]) baseName(path);
      // Closed to its owner, it could not be moved.
      if (lstatSync(known.from).isDirectory()) chmodSync(known.from, 0o755);
      await registerKnownItem(places, known);
    },
    finishRegistration: (paths) => finishRegistration(places, paths),
    finishAbandoned: () => finishAbandonedRegistrations(places),
    hold: store.hold,
    closure,
    addText: async (name, contents, references = []) => {
      const path = textPath(name, contents, references, prefix);
      await store.hold([path]);
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
      await registerItems(places, [{ path, from: aside, mayReferTo: [] }]);
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
