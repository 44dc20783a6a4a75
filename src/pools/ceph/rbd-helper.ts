import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { DiskRange } from "../../image/extent.ts";
import { CephRefusal, errnos, unreachable } from "./ceph-failure.ts";
import { watcherInWords } from "./rbd-commands.ts";
import { type DiskChange, type ImageSpec, objectBytes, type RbdDriver, type StoredImage } from "./rbd-driver.ts";
import { cephEnvironment } from "./run-ceph.ts";
import type { CephSettings } from "./settings.ts";

/**
 * All calls go to one process that speaks RBD through Ceph's own Python modules, which Debian's ceph-common brings
 * along: a call costs 1 to 30 ms. It is started by the first call, ends with this process, and is started anew when it
 * has died. Undefined where the modules are not installed.
 */
export function rbdHelper(settings: CephSettings, title: string): HelperDriver {
  let running: Promise<Helper | undefined> | undefined;
  const helper = async (): Promise<Helper> => {
    running ??= startHelper(settings, title);
    const started = await running.catch((error) => {
      running = undefined;
      throw error;
    });
    if (started?.isAlive()) return started;
    if (started) {
      running = undefined;
      return helper();
    }
    throw unreachable(title, "Ceph's Python modules are not installed");
  };
  const call = async (verb: string, request: object, payload?: Uint8Array, patience?: number): Promise<unknown> =>
    (await helper()).call(verb, request, payload, patience);
  const quiet = async (verb: string, request: object, patience?: number): Promise<void> =>
    void (await call(verb, request, undefined, patience));
  const isInstalled = async (): Promise<boolean> => {
    running ??= startHelper(settings, title);
    try {
      return (await running) !== undefined;
    } catch (error) {
      running = undefined;
      throw error;
    }
  };
  return {
    isInstalled,
    kind: "helper",
    names: async (pool) => (await call("names", { pool })) as string[],
    images: async (pool, names) => {
      const found = (await call("images", { pool, names })) as StoredImage[];
      return found.map((image) => ({ ...image, about: image.about, parent: image.parent }));
    },
    create: (image, size) => quiet("create", { ...image, size }),
    clone: (parent, child) => quiet("clone", { ...child, parent }),
    setAbout: (image, about) => quiet("setAbout", { ...image, about }),
    write: async (image, change) => writeChange(await helper(), image, change),
    rename: (from, to) => quiet("rename", { ...from, to }),
    remove: (image) => quiet("remove", image, longPatience),
    createSnapshot: (snapshot) => quiet("createSnapshot", snapshot),
    removeSnapshot: (snapshot) => quiet("removeSnapshot", snapshot),
    rollBack: (snapshot) => quiet("rollBack", snapshot, longPatience),
    children: async (image) => (await call("children", image)) as string[],
    childrenOf: async (snapshot) => (await call("children", snapshot)) as string[],
    watchers: async (image) =>
      ((await call("watchers", image)) as [string, number][]).map(([address, id]) => watcherInWords(address, id)),
    changes: async (image, since) => {
      const ranges = (await call("changes", { ...image, since }, undefined, longPatience)) as [number, number][];
      return ranges.map(([start, length]) => ({ start, length }));
    },
    usage: async (image) => (await call("usage", image, undefined, longPatience)) as number,
    flatten: (image) => quiet("flatten", image, longPatience),
    breakLocks: (image) => quiet("breakLocks", image),
    readObject: async (pool, object) => {
      const found = (await call("readObject", { pool, object })) as string | null;
      return found === null ? undefined : Buffer.from(found, "base64");
    },
    writeObject: async (pool, object, bytes) => void (await call("writeObject", { pool, object }, bytes)),
    removeObject: (pool, object) => quiet("removeObject", { pool, object }),
    entries: async (pool, object) => {
      const found = (await call("entries", { pool, object })) as [string, string][];
      return new Map(found.map(([key, value]) => [key, Buffer.from(value, "base64")]));
    },
    setEntry: (pool, object, key, value) => quiet("setEntry", { pool, object, key, value }),
    removeEntries: (pool, object, keys) => quiet("removeEntries", { pool, object, keys }),
    lock: async (place, cookie, description) => (await call("lock", { ...place, cookie, description })) as boolean,
    unlock: async (place, cookie) => (await call("unlock", { ...place, cookie })) as boolean,
  };
}

export interface HelperDriver extends RbdDriver {
  /** Whether the modules are here; starts the process. @throws MesoError `pool-unreachable`. */
  readonly isInstalled: () => Promise<boolean>;
}

/** Seconds. */
const usualPatience = 90;
const longPatience = 3600;

/** Bytes in one message, and how many messages may be unanswered. */
const messageBytes = 4 << 20;
const messagesAhead = 4;
/** Ranges in one message. */
const mostRanges = 4096;

async function writeChange(helper: Helper, image: ImageSpec, change: DiskChange): Promise<void> {
  const { size, since, snapshot, about, zeros, fresh = [] } = change;
  const id = helper.nextChange();
  const objects = [...new Set(fresh.map(({ start }) => Math.floor(start / objectBytes)))];
  const isDirect = await helper.call("begin", { ...image, change: id, size, since, snapshot, objects });
  try {
    if (isDirect) await apply(helper, id, "applyFresh", fresh, change);
    // Zeros to their end before anything is written: nothing may overtake them.
    for (let at = 0; at < zeros.length; at += mostRanges) {
      const some = zeros.slice(at, at + mostRanges).map(({ start, length }) => [start, length]);
      await helper.call("applyZeros", { change: id, ranges: some }, undefined, longPatience);
    }
    await apply(helper, id, "apply", isDirect ? change.writes : [...fresh, ...change.writes], change);
    change.signal.throwIfAborted();
    await helper.call("finish", { change: id, snapshot, about }, undefined, longPatience);
  } catch (error) {
    await helper.call("abandon", { change: id }).catch(() => {});
    throw error;
  }
}

/** Sends the data, some messages ahead of their answers. */
async function apply(
  helper: Helper,
  change: number,
  verb: "apply" | "applyFresh",
  ranges: readonly DiskRange[],
  { read, signal }: DiskChange,
): Promise<void> {
  const ahead = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for (const group of groups(ranges)) {
    signal.throwIfAborted();
    const payload = Buffer.concat(group.map(read));
    const request = { change, ranges: group.map(({ start, length }) => [start, length]) };
    const settled: Promise<void> = helper
      .call(verb, request, payload, longPatience)
      .then(
        () => {},
        (error) => void failures.push(error),
      )
      .finally(() => ahead.delete(settled));
    ahead.add(settled);
    if (ahead.size >= messagesAhead) await Promise.race(ahead);
    if (failures.length > 0) break;
  }
  await Promise.all(ahead);
  if (failures.length > 0) throw failures[0];
}

function* groups(ranges: readonly DiskRange[]): Generator<DiskRange[]> {
  let group: DiskRange[] = [];
  let bytes = 0;
  for (const range of ranges) {
    if (group.length > 0 && (bytes + range.length > messageBytes || group.length >= mostRanges)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(range);
    bytes += range.length;
  }
  if (group.length > 0) yield group;
}

interface Helper {
  readonly isAlive: () => boolean;
  readonly nextChange: () => number;
  readonly call: (verb: string, request: object, payload?: Uint8Array, patience?: number) => Promise<unknown>;
}

type HelperProcess = ChildProcessByStdio<Writable, Readable, Readable>;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Undefined when Python, or a module, is not there. */
async function startHelper(settings: CephSettings, title: string): Promise<Helper | undefined> {
  const program = fileURLToPath(new URL("rbd-helper.py", import.meta.url));
  // Debian's own Python has Debian's modules; another one first in PATH has not.
  const child: HelperProcess = spawn(pythonProgram, [program], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...cephEnvironment(), PYTHONDONTWRITEBYTECODE: "1" },
  });
  const waiting = new Map<number, Waiting>();
  let isAlive = true;
  let complaint = "";
  let hello: ((message: Message | undefined) => void) | undefined;
  const greeting = new Promise<Message | undefined>((resolve) => {
    hello = resolve;
  });
  const end = (why: string): void => {
    isAlive = false;
    hello?.(undefined);
    for (const { reject } of waiting.values()) reject(unreachable(title, why));
    waiting.clear();
  };
  child.once("error", () => end("the helper could not be started"));
  child.once("close", () => end(`the helper ended: ${complaint.trim().split("\n").at(-1)?.slice(0, 300) ?? ""}`));
  child.stdin.on("error", () => {});
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-4000);
  });
  eachLine(child.stdout, (line) => {
    const message = JSON.parse(line) as Message;
    if (message.id === undefined) return hello?.(message);
    const one = waiting.get(message.id);
    waiting.delete(message.id);
    if (waiting.size === 0) rest(child);
    if (!one) return;
    if (message.pool !== undefined) one.reject(unreachable(title, `there is no pool ${message.pool}`));
    else if (message.errno !== undefined) one.reject(new CephRefusal(message.errno, message.message ?? ""));
    else one.resolve(message.value);
  });
  const { configuration, keyring, user } = settings;
  child.stdin.write(`${JSON.stringify({ configuration, keyring, user })}\n`);
  const first = await within(greeting, startPatience, () => child.kill("SIGKILL"));
  if (first?.unreachable !== undefined) throw unreachable(title, connectionComplaint(first));
  if (!first?.ready) return undefined;
  rest(child);

  let lastId = 0;
  let lastChange = 0;
  const call = (verb: string, request: object, payload?: Uint8Array, patience = usualPatience): Promise<unknown> => {
    if (!isAlive) return Promise.reject(unreachable(title, "the helper ended"));
    const id = ++lastId;
    const answered = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
    work(child);
    const head = { ...request, id, verb, ...(payload && { bytes: payload.length }) };
    child.stdin.write(`${JSON.stringify(head)}\n`);
    if (payload && payload.length > 0) child.stdin.write(payload);
    return within(answered, patience, () => {
      end(`${verb} took more than ${patience} s`);
      child.kill("SIGKILL");
    });
  };
  return { isAlive: () => isAlive, nextChange: () => ++lastChange, call };
}

const pythonProgram = "/usr/bin/python3";
/** Seconds. */
const startPatience = 30;

interface Message {
  readonly id?: number;
  readonly value?: unknown;
  readonly errno?: number;
  readonly message?: string;
  readonly pool?: string;
  readonly ready?: boolean;
  readonly unreachable?: string;
}

function connectionComplaint({ errno, unreachable: why }: Message): string {
  if (errno === errnos.timedOut) return "the cluster did not answer";
  if (errno === errnos.denied || errno === errnos.notPermitted) return "the cluster refused the user";
  return errno === errnos.missing ? "the user's keyring or the configuration was not found" : (why ?? "");
}

/** A helper with nothing to do must not keep this process from its end, which is the helper's too. */
function rest(child: HelperProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as Referable).unref?.();
}

function work(child: HelperProcess): void {
  child.ref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as Referable).ref?.();
}

/** The pipes of a child are sockets. */
interface Referable {
  ref?: () => void;
  unref?: () => void;
}

function eachLine(stream: Readable, take: (line: string) => void): void {
  let held: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      held.push(chunk.subarray(start, end));
      take(Buffer.concat(held).toString());
      held = [];
      start = end + 1;
    }
    if (start < chunk.length) held.push(chunk.subarray(start));
  });
}

async function within<T>(promise: Promise<T>, seconds: number, late: () => void): Promise<T> {
  const timer = setTimeout(late, seconds * 1000);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
