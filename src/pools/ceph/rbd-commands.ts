import { failure } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { DiskRange } from "../../image/extent.ts";
import { CephRefusal, errnos, isRefusal } from "./ceph-failure.ts";
import { diffStream } from "./diff-stream.ts";
import { breakObjectLock, objectLock, takeObjectLock } from "./object-lock.ts";
import type { ImageSpec, RbdDriver, SnapshotSpec, StoredImage } from "./rbd-driver.ts";
import type { RunCeph } from "./run-ceph.ts";
import { aboutKey } from "./settings.ts";

/** Each call is a run of `rbd` or `rados`, 45 to 85 ms of which most is its start: works wherever Ceph does. */
export function rbdCommands(run: RunCeph): RbdDriver {
  const rbd = (args: readonly string[], options?: Parameters<RunCeph>[2]) => run("rbd", args, options);
  const json = async (args: readonly string[]): Promise<unknown> =>
    parsed(await rbd([...args, "--format", "json"]), args[0]!);
  const rados = (pool: string, args: readonly string[], options?: Parameters<RunCeph>[2]) =>
    run("rados", ["--pool", pool, ...args], options);
  const quiet = async (args: readonly string[], patience?: number): Promise<void> =>
    void (await rbd(args, patience === undefined ? {} : { patience }));

  const image = async (pool: string, name: string): Promise<StoredImage | undefined> => {
    try {
      const spec = path({ pool, image: name });
      const info = (await json(["info", spec])) as { size: number; parent?: SnapshotSpec };
      const about = await rbd(["image-meta", "get", spec, aboutKey]).catch((error) => absent(error));
      const snapshots = (await json(["snap", "ls", spec])) as { name: string }[];
      const { parent } = info;
      return {
        name,
        size: info.size,
        about: about?.toString().replace(/\n$/, ""),
        parent: parent && { pool: parent.pool, image: parent.image, snapshot: parent.snapshot },
        snapshots: snapshots.map((snapshot) => snapshot.name),
      };
    } catch (error) {
      return absent(error);
    }
  };
  const children = async (args: readonly string[]): Promise<string[]> =>
    ((await json(["children", ...args])) as { pool: string; image: string }[]).map((one) => `${one.pool}/${one.image}`);

  return {
    kind: "rbd",
    names: async (pool) => (await json(["ls", pool])) as string[],
    images: async (pool, names) => {
      const found: StoredImage[] = [];
      for (let at = 0; at < names.length; at += atOnce) {
        const some = await Promise.all(names.slice(at, at + atOnce).map((name) => image(pool, name)));
        found.push(...some.filter((one) => one !== undefined));
      }
      return found;
    },
    create: (spec, size) => quiet(["create", path(spec), "--size", `${size}B`]),
    clone: (parent, child) => quiet(["clone", "--rbd-default-clone-format", "2", path(parent), path(child)]),
    setAbout: (spec, about) => quiet(["image-meta", "set", path(spec), aboutKey, about]),
    write: async (spec, change) => {
      if (change.about !== undefined) await rbd(["image-meta", "set", path(spec), aboutKey, change.about]);
      await rbd(["import-diff", "--no-progress", "-", path(spec)], {
        patience: longPatience,
        input: diffStream(change),
        signal: change.signal,
      });
    },
    rename: ({ pool, image: from }, to) => quiet(["rename", path({ pool, image: from }), path({ pool, image: to })]),
    remove: (spec) => quiet(["rm", "--no-progress", path(spec)], longPatience),
    createSnapshot: (spec) => quiet(["snap", "create", "--no-progress", path(spec)]),
    removeSnapshot: (spec) => quiet(["snap", "rm", "--no-progress", path(spec)]),
    rollBack: (spec) => quiet(["snap", "rollback", "--no-progress", path(spec)], longPatience),
    children: (spec) => children([path(spec)]),
    childrenOf: (spec) => children([path(spec)]),
    watchers: async (spec) => {
      const { watchers } = (await json(["status", path(spec)])) as { watchers: { address: string; client: number }[] };
      return watchers.map(({ address, client }) => watcherInWords(address, client));
    },
    changes: async (spec, since) => {
      const from = since === undefined ? [] : ["--from-snap", since];
      // The object maps tell at once whether anything changed at all.
      const objects = ranges(await json(["diff", "--whole-object", ...from, path(spec)]));
      return objects.length === 0 ? [] : ranges(await json(["diff", ...from, path(spec)]));
    },
    usage: async (spec) => {
      const { images } = (await json(["du", "--merge-snapshots", path(spec)])) as {
        images: { used_size: number }[];
      };
      return images.reduce((sum, one) => sum + one.used_size, 0);
    },
    flatten: (spec) => quiet(["flatten", "--no-progress", path(spec)], longPatience),
    breakLocks: async (spec) => {
      const held = (await json(["lock", "ls", path(spec)])) as { id: string; locker: string }[];
      for (const { id, locker } of held) {
        await quiet(["lock", "rm", path(spec), id, locker]).catch((error) => absent(error));
      }
    },
    readObject: async (pool, object) => rados(pool, ["get", object, "-"]).catch((error) => absent(error)),
    writeObject: async (pool, object, bytes) => {
      // A block that holds it all makes one operation, which is atomic.
      await rados(pool, ["put", object, "-", "--block-size", String(16 << 20)], { input: [bytes] });
    },
    removeObject: async (pool, object) => void (await rados(pool, ["rm", object]).catch((error) => absent(error))),
    entries: async (pool, object) => {
      const listing = await rados(pool, ["listomapvals", object]).catch((error) => absent(error));
      return parseEntries(listing?.toString("latin1") ?? "");
    },
    setEntry: async (pool, object, key, value) => void (await rados(pool, ["setomapval", object, key, value])),
    removeEntries: async (pool, object, keys) => {
      for (const key of keys) await rados(pool, ["rmomapkey", object, key]).catch((error) => absent(error));
    },
    lock: (place, cookie, description) => takeObjectLock(run, place, cookie, description),
    unlock: async (place, cookie) => {
      const held = await objectLock(run, place);
      if (held?.cookie !== cookie) return false;
      await breakObjectLock(run, place, held);
      return true;
    },
  };
}

/** Processes at the same time. */
const atOnce = 4;
/** Seconds: for what depends on the size of an image. */
const longPatience = 3600;

function path({ pool, image, snapshot }: ImageSpec & { readonly snapshot?: string }): string {
  return snapshot === undefined ? `${pool}/${image}` : `${pool}/${image}@${snapshot}`;
}

function absent(error: unknown): undefined {
  if (isRefusal(error, errnos.missing)) return undefined;
  throw error;
}

function parsed(bytes: Buffer, verb: string): unknown {
  try {
    return JSON.parse(bytes.toString() || "[]");
  } catch {
    throw new CephRefusal(errnos.invalid, `rbd ${verb} gave no JSON`);
  }
}

function ranges(listed: unknown): DiskRange[] {
  const runs = listed as { offset: number; length: number; exists: string }[];
  return runs.map(({ offset, length }) => ({ start: offset, length }));
}

export function watcherInWords(address: string, client: number | string): string {
  return `client.${client} at ${address.replace(/:\d+\/\d+$/, "")}`;
}

/**
 * Reads what `rados listomapvals` prints: each key on a line, the size of its value, and the value as a hexadecimal
 * dump. Values go by their bytes: what is printed beside them is never looked at.
 * @throws MesoError `pool-unreachable` when it is something else.
 */
export function parseEntries(listing: string): Map<string, Buffer> {
  const entries: [string, Buffer][] = [];
  const lines = listing.split("\n");
  for (let at = 0; at + 1 < lines.length; ) {
    const key = lines[at]!;
    const size = Number(/^value \((\d+) bytes\) :$/.exec(lines[at + 1] ?? "")?.[1] ?? Number.NaN);
    if (!(size <= mostValueBytes)) throw strangeListing(lines[at + 1]);
    at += 2;
    const bytes: number[] = [];
    while (bytes.length < size) {
      const digits = /^[0-9a-f]{8} {2}((?:[0-9a-f]{2} {1,2}){1,16}) *\|/.exec(lines[at] ?? "")?.[1];
      if (digits === undefined) {
        // A row that repeats is printed once, then as a star until the next offset that differs.
        if (lines[at] !== "*") throw strangeListing(lines[at]);
        const next = Number.parseInt(/^([0-9a-f]{8})/.exec(lines[at + 1] ?? "")?.[1] ?? "", 16);
        if (!(next > bytes.length && next <= size && next % 16 === 0 && bytes.length >= 16))
          throw strangeListing(lines[at + 1]);
        while (bytes.length < next) bytes.push(...bytes.slice(-16));
      } else {
        bytes.push(
          ...digits
            .trim()
            .split(/ +/)
            .map((pair) => Number.parseInt(pair, 16)),
        );
      }
      at++;
    }
    if (bytes.length !== size) throw strangeListing(lines[at]);
    // The end's offset, and an empty line.
    while (at < lines.length && (lines[at] === "" || /^[0-9a-f]{8}$/.test(lines[at]!))) {
      const isEnd = lines[at] === "";
      at++;
      if (isEnd) break;
    }
    entries.push([Buffer.from(key, "latin1").toString(), Buffer.from(bytes)]);
  }
  return new Map(entries.sort(([a], [b]) => compareBytes(a, b)));
}

const mostValueBytes = 16 << 20;

function strangeListing(line: string | undefined) {
  return failure("pool-unreachable", `rados listed the entries of an object in an unknown way: ${line?.slice(0, 100)}`);
}
