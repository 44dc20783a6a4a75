import { createReadStream, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failure, MesoError } from "../base/error.ts";
import { type CachePublicKey, type NarInfo, parseNarInfo } from "./narinfo.ts";

/** A place that others' items can be had from, in the layout of Nix's binary caches. Nothing it says is believed. */
export interface BinaryCache {
  /** As the person gave it. */
  readonly name: string;
  /** Keys of those whose word on what an item is counts; undefined when whoever asks takes any. */
  readonly keys: readonly CachePublicKey[] | undefined;
  /** Whether its archives can be read where they are, without a copy that a lost connection could be resumed from. */
  readonly isLocal: boolean;
  /**
   * What it says of the item with this hash part; undefined when it has none.
   *
   * @throws MesoError `cache-unreachable`, `bad-narinfo`.
   */
  narInfo(hashPart: string, signal?: AbortSignal): Promise<NarInfo | undefined>;
  /**
   * The packed archive that a description names, from byte `offset` on.
   *
   * @param state what the server called the bytes before: it starts over when they are others now.
   * @throws MesoError `cache-unreachable`, `archive-gone`.
   */
  open(url: string, offset?: number, state?: string, signal?: AbortSignal): Promise<OpenArchive>;
}

export interface OpenArchive {
  /** Throws `cache-unreachable` where the connection breaks, stands still or crawls. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Bytes that come before the body: 0 where the server cannot, or will not, start in the middle. */
  readonly offset: number;
  /** The server's name of these bytes. */
  readonly state?: string;
}

export interface PatienceOptions {
  /** For the whole of a small file, and for any part of a large one; 15 unless given. Seconds. */
  readonly silenceSeconds?: number;
  /** Below this speed, a server is as good as dead; 1024 unless given. */
  readonly minimumBytesPerSecond?: number;
}

/**
 * The cache at an address (`http://…`, `https://…`) or in a folder (a path, or `file:///…`).
 *
 * @throws MesoError `bad-cache` for any other address.
 */
export function openBinaryCache(
  address: string,
  keys: readonly CachePublicKey[] | undefined,
  patience: PatienceOptions = {},
): BinaryCache {
  if (/^https?:\/\//.test(address)) return httpCache(address, keys, patience);
  if (address.startsWith("file://")) return folderCache(address, fileURLToPath(address), keys);
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(address)) {
    throw failure("bad-cache", `found the cache ${JSON.stringify(address)}`, {
      expected: "http://…, https://…, file:///… or the path of a folder",
    });
  }
  return folderCache(address, resolve(address), keys);
}

function folderCache(name: string, folder: string, keys: BinaryCache["keys"]): BinaryCache {
  return {
    ...{ name, keys, isLocal: true },
    narInfo: async (hashPart) => {
      const file = join(folder, `${hashPart}.narinfo`);
      try {
        if (statSync(file).size > maxNarInfo) throw tooLarge(name, hashPart);
        return parseNarInfo(readFileSync(file, "utf8"));
      } catch (error) {
        if (error instanceof MesoError) throw error;
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === "ENOENT" && statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined;
        throw unreachable(name, message);
      }
    },
    open: async (url, offset = 0) => {
      const path = join(folder, plainPath(name, url));
      if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw gone(name, url);
      return { body: createReadStream(path, { start: offset, highWaterMark: 1 << 20 }), offset };
    },
  };
}

function httpCache(name: string, keys: BinaryCache["keys"], patience: PatienceOptions): BinaryCache {
  const base = name.endsWith("/") ? name : `${name}/`;
  const silence = (patience.silenceSeconds ?? 15) * 1000;
  const least = patience.minimumBytesPerSecond ?? 1024;
  return {
    ...{ name, keys, isLocal: false },
    narInfo: async (hashPart, signal) => {
      const within = AbortSignal.any([AbortSignal.timeout(silence), ...(signal ? [signal] : [])]);
      const text = await talking(name, signal, async () => {
        const answer = await fetch(new URL(`${hashPart}.narinfo`, base), { signal: within });
        if (isAbsent(answer)) {
          await answer.body?.cancel();
          return undefined;
        }
        return Buffer.concat(await bytesOf(name, hashPart, answer)).toString("utf8");
      });
      return text === undefined ? undefined : parseNarInfo(text);
    },
    open: async (url, offset = 0, state, signal) => {
      const address = new URL(plainPath(name, url), base);
      const watch = new AbortController();
      const headers = {
        // Bytes are counted and hashed as they are: nobody between may pack them otherwise.
        "Accept-Encoding": "identity",
        ...(offset > 0 && { Range: `bytes=${offset}-` }),
        ...(offset > 0 && state !== undefined && { "If-Range": state }),
      };
      const ends = AbortSignal.any([watch.signal, ...(signal ? [signal] : [])]);
      const timer = setTimeout(() => watch.abort(), silence);
      try {
        const answer = await talking(name, signal, () => fetch(address, { headers, signal: ends }));
        // Nothing is left: what is there is the whole, or more.
        const isWhole = answer.status === 416 && offset > 0;
        if (!isWhole && isAbsent(answer)) throw gone(name, url);
        if (!isWhole && !answer.ok) throw unreachable(name, `it answered ${answer.status}`);
        const from = answer.status === 206 ? rangeStart(answer) : 0;
        if (answer.status === 206 && from === undefined) throw unreachable(name, "its range is none");
        const etag = answer.headers.get("etag");
        return {
          body: isWhole ? nothing() : watched(name, answer, watch, silence, least, signal),
          offset: isWhole ? offset : from!,
          ...(etag?.startsWith('"') && { state: etag }),
        };
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** Characters; more is no description of an item. */
const maxNarInfo = 1 << 20;

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function bytesOf(name: string, hashPart: string, answer: Response): Promise<Uint8Array[]> {
  if (!answer.ok) {
    await answer.body?.cancel();
    throw unreachable(name, `it answered ${answer.status}`);
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body ?? []) {
    pieces.push(piece as Uint8Array);
    size += (piece as Uint8Array).length;
    if (size > maxNarInfo) throw tooLarge(name, hashPart);
  }
  return pieces;
}

/** The body of an answer; one that gives less than so many bytes a second is given up. */
async function* watched(
  name: string,
  answer: Response,
  watch: AbortController,
  silence: number,
  least: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let since = 0;
  let ticks = 0;
  // Many short ticks: one that comes late, because this process was busy itself, tells nothing of the server.
  const timer = setInterval(() => {
    if (++ticks < ticksOfSilence) return;
    if (since < (least * silence) / 1000) watch.abort();
    since = 0;
    ticks = 0;
  }, silence / ticksOfSilence);
  const body = answer.body?.getReader();
  try {
    for (;;) {
      const next = await talking(name, signal, async () => body?.read());
      if (!next || next.done) return;
      since += next.value.length;
      yield next.value;
    }
  } finally {
    clearInterval(timer);
    watch.abort();
  }
}

const ticksOfSilence = 10;

/** Whatever goes wrong on the way to a server is its failure; what the caller aborted is not. */
async function talking<T>(name: string, signal: AbortSignal | undefined, talk: () => Promise<T>): Promise<T> {
  try {
    return await talk();
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof MesoError) throw error;
    const { name: kind, cause, message } = error as Error;
    if (kind === "TimeoutError" || kind === "AbortError") throw unreachable(name, "it is silent, or too slow");
    throw unreachable(name, (cause as Error | undefined)?.message || message);
  }
}

function isAbsent({ status }: Response): boolean {
  // Stores behind caches answer 403 for what is not there where listing is forbidden.
  return status === 404 || status === 410 || status === 403;
}

function rangeStart(answer: Response): number | undefined {
  const match = /^bytes (\d+)-/.exec(answer.headers.get("content-range") ?? "");
  return match ? Number(match[1]) : undefined;
}

/** Archives lie below their cache, and nowhere else. */
function plainPath(name: string, url: string): string {
  if (/^[A-Za-z0-9+\-._?=/]{1,1024}$/.test(url) && !url.startsWith("/") && !url.split("/").includes("..")) return url;
  throw failure("bad-narinfo", `${name} names the archive ${JSON.stringify(url.slice(0, 80))}`, {
    expected: "a path below the cache",
  });
}

function tooLarge(name: string, hashPart: string) {
  return failure("bad-narinfo", `${name} says more than a megabyte of ${hashPart}`);
}

function gone(name: string, url: string) {
  return failure("archive-gone", `${name} does not have ${url}, which it names`);
}

function unreachable(name: string, why: string) {
  return failure("cache-unreachable", `the cache ${name} cannot be read: ${why}`);
}
