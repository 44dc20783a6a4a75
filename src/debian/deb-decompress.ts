import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { failure } from "../base/error.ts";
import { giveWay } from "../base/give-way.ts";
import { readRange } from "../store/read-content.ts";
import type { DebMember } from "./deb.ts";
import { type ByteSource, fileSource } from "./tar-source.ts";
import { xzUncompressedBytes } from "./xz-index.ts";

/** A compressed tar in an open file, and the most bytes that it may expand to. */
export interface CompressedTar extends DebMember {
  readonly file: number;
  readonly limit: number;
}

export interface DecompressOptions {
  /**
   * A command that expands xz streams from its standard input to its standard output, started as the leader of a
   * session; this host's own otherwise.
   */
  readonly xz?: readonly string[] | undefined;
  /** Everything waits for others: xz gives way to them, and does not take several processors. */
  readonly inBackground?: boolean | undefined;
  readonly signal?: AbortSignal;
}

const hostXz = ["xz", "-dc", "--no-sparse"];

/**
 * The expanded bytes of each tar, in order, kept in files below `scratch` (an existing folder that the caller
 * removes) until `close()`. All xz members are expanded by a single process: for a small archive, starting
 * one costs more than its work; and it writes to a file because a pipe would wake us for every 8 KiB.
 *
 * @throws MesoError `corrupt-archive` for damaged input, `unsafe-archive` when a limit is exceeded,
 * `missing-tool` when the decompressor is not installed; AbortError when `signal` says so.
 */
export async function decompressTars(
  tars: readonly CompressedTar[],
  scratch: string,
  options: DecompressOptions = {},
): Promise<{ readonly sources: readonly ByteSource[]; close(): void }> {
  const opened: number[] = [];
  const close = () => {
    for (const file of opened.splice(0)) closeSync(file);
  };
  const create = (name: string) => {
    const file = openSync(join(scratch, name), "wx+");
    opened.push(file);
    return file;
  };
  try {
    const sources = new Map<CompressedTar, ByteSource>();
    const xzTars = tars.filter((tar) => tar.compression === "xz");
    (await expandXz(xzTars, create, options)).forEach((source, i) => {
      sources.set(xzTars[i]!, source);
    });
    for (const [i, tar] of tars.entries()) {
      if (tar.compression !== "xz") sources.set(tar, await expandOther(tar, String(i), create, options.signal));
    }
    return { sources: tars.map((tar) => sources.get(tar)!), close };
  } catch (error) {
    close();
    throw error;
  }
}

type CreateFile = (name: string) => number;

async function expandXz(
  tars: readonly CompressedTar[],
  create: CreateFile,
  { xz = hostXz, inBackground = false, signal }: DecompressOptions,
): Promise<ByteSource[]> {
  if (tars.length === 0) return [];
  const sizes = tars.map((tar) => {
    const bytes = xzUncompressedBytes((at, length) => readRange(tar.file, tar.position + at, length), tar.size);
    if (bytes > tar.limit) throw tooLarge(tar.limit);
    return bytes;
  });
  const input = create("members.xz");
  let end = 0;
  for (const tar of tars) end += copyRange(tar, input, end);
  const output = create("members.tar");
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const command = [...xz, inBackground ? "-T1" : "-T0"];
  await run(command, { input, output, limit: total, inBackground, signal });
  let start = 0;
  return sizes.map((size) => {
    const source = fileSource(output, start, size);
    start += size;
    return source;
  });
}

async function expandOther(
  tar: CompressedTar,
  name: string,
  create: CreateFile,
  signal?: AbortSignal,
): Promise<ByteSource> {
  if (tar.compression === "none") return fileSource(tar.file, tar.position, tar.size);
  const output = create(`${name}.tar`);
  if (tar.compression === "gz" || tar.compression === "zst") await expandInProcess(tar, output, signal);
  else {
    const input = create(`${name}.${tar.compression}`);
    copyRange(tar, input, 0);
    const command = tar.compression === "bz2" ? ["bzip2", "-dc"] : ["xz", "-dc", "--format=lzma"];
    await run(command, { input, output, limit: tar.limit, signal });
  }
  return fileSource(output, 0, fstatSync(output).size);
}

async function expandInProcess(tar: CompressedTar, output: number, signal?: AbortSignal): Promise<void> {
  if (tar.size === 0) throw corrupt("a member is empty");
  let total = 0;
  try {
    // Streams of node:fs would close our files when they fail.
    await pipeline(
      () => piecesOf(tar),
      tar.compression === "gz" ? createGunzip() : createZstdDecompress(),
      async (expanded: AsyncIterable<Uint8Array>) => {
        for await (const piece of expanded) {
          if (total + piece.length > tar.limit) throw tooLarge(tar.limit);
          writeAt(output, piece, total);
          total += piece.length;
        }
      },
      signal ? { signal } : {},
    );
  } catch (error) {
    if (!/^(Z_|ZSTD_|ERR_ZLIB|ERR_ZSTD)/.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
    throw corrupt((error as Error).message, error);
  }
}

/** The compressed bytes, in pieces that stay valid. */
function* piecesOf(tar: CompressedTar): Generator<Uint8Array> {
  for (let done = 0; done < tar.size; ) {
    const piece = readRange(tar.file, tar.position + done, Math.min(1 << 18, tar.size - done));
    yield piece;
    done += piece.length;
  }
}

/** Copies the compressed bytes to `position` of another file, whose own offset stays where it is. */
function copyRange(tar: CompressedTar, to: number, position: number): number {
  for (let done = 0; done < tar.size; ) {
    const got = readSync(tar.file, shared, 0, Math.min(shared.length, tar.size - done), tar.position + done);
    if (got === 0) throw corrupt(`it ends ${tar.size - done} bytes too early`);
    writeAt(to, shared.subarray(0, got), position + done);
    done += got;
  }
  return tar.size;
}

/** Only ever used between two lines that nothing can come between. */
const shared = new Uint8Array(1 << 18);

function writeAt(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}

interface RunOptions {
  readonly input: number;
  readonly output: number;
  /** Bytes that the output may have. */
  readonly limit: number;
  readonly inBackground?: boolean;
  readonly signal: AbortSignal | undefined;
}

/** How often the size of a growing output is looked at. Decompressors write some 100 MB in that time at most. */
const watchMilliseconds = 100;

async function run(
  words: readonly string[],
  { input, output, limit, inBackground = false, signal }: RunOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const [command, ...options] = words as [string, ...string[]];
  // XZ_OPT and its like must not reach it, and its messages shall be in one language.
  const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" };
  const child = spawn(command, options, { stdio: [input, output, "pipe"], env, detached: true });
  if (inBackground && child.pid !== undefined) giveWay(child.pid);
  let message = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    message = (message + text).slice(0, 1000);
  });
  const isTooLarge = () => fstatSync(output).size > limit;
  const watch = setInterval(() => isTooLarge() && child.kill("SIGKILL"), watchMilliseconds);
  const abort = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", abort);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject).once("close", resolve);
    });
    signal?.throwIfAborted();
    if (isTooLarge()) throw tooLarge(limit);
    if (status !== 0) throw corrupt(message.trim().replaceAll(/^.*?: \(stdin\): /gm, "") || `${command} failed`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw failure(
      "missing-tool",
      `${command} is not installed`,
      { hint: `install it: apt-get install ${command}` },
      error,
    );
  } finally {
    clearInterval(watch);
    signal?.removeEventListener("abort", abort);
  }
}

function corrupt(why: string, cause?: unknown) {
  return failure("corrupt-archive", `it cannot be decompressed: ${why}`, {}, cause);
}

function tooLarge(limit: number) {
  return failure("unsafe-archive", `a member expands to more than ${limit} bytes`, {
    expected: "a size in proportion to the archive's and to its Installed-Size",
  });
}
