import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from "node:zlib";
import { failure } from "../base/error.ts";

/** How archives are packed on their way; what other caches have beside these is not understood. */
export const compressions = ["zstd", "gzip", "xz", "none"] as const;
export type Compression = (typeof compressions)[number];

/** @throws MesoError `unknown-compression`. */
export function parseCompression(name: string): Compression {
  const known = compressions.find((one) => one === name);
  if (known) return known;
  throw failure("unknown-compression", `found the compression ${JSON.stringify(name)}`, {
    expected: compressions.join(", "),
  });
}

/** What caches put behind `.nar`. */
export function compressionSuffix(compression: Compression): string {
  return { zstd: ".zst", gzip: ".gz", xz: ".xz", none: "" }[compression];
}

/**
 * Expands what comes in pieces. Memory is flat whatever comes; who reads stops when it is more than was announced.
 *
 * @throws MesoError `bad-compression` for damaged or truncated input, `program-missing` where there is no `xz`.
 */
export async function* expand(pieces: AsyncIterable<Uint8Array>, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === "none") return yield* pieces;
  const through = compression === "xz" ? xzStream(["-dc"]) : wholeStream(compression);
  try {
    yield* passThrough(pieces, through);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith("Z_") || code?.startsWith("ZSTD_") || code === "ERR_XZ") {
      throw failure("bad-compression", `what should be ${compression} cannot be expanded: ${message}`);
    }
    throw error;
  }
}

/** Packs what comes in pieces; the same input gives the same bytes with the same versions of the libraries. */
export async function* pack(pieces: AsyncIterable<Uint8Array>, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === "none") return yield* pieces;
  const through =
    compression === "xz"
      ? xzStream(["-c", "-6"])
      : compression === "gzip"
        ? createGzip()
        : createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  yield* passThrough(pieces, through);
}

type Through = NodeJS.ReadWriteStream & { destroy(error?: Error): unknown };

function wholeStream(compression: "zstd" | "gzip"): Through {
  return compression === "gzip" ? createGunzip() : createZstdDecompress();
}

async function* passThrough(
  pieces: AsyncIterable<Uint8Array>,
  through: Through | XzStream,
): AsyncGenerator<Uint8Array> {
  const input = "input" in through ? through.input : (through as unknown as Writable);
  const output = "input" in through ? through.output : (through as unknown as Readable);
  // Errors of both ends are told by whichever is waited for.
  const fed = pipeline(Readable.from(pieces), input, { end: true }).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  try {
    for await (const piece of output) yield piece as Uint8Array;
    const trouble = await fed;
    if (trouble) throw trouble.error;
    if ("input" in through) await through.done;
  } catch (error) {
    // An end of the input that is an error (a dead connection) is what should be told, not what it did to the stream.
    output.destroy();
    throw error;
  } finally {
    output.destroy();
    input.destroy();
  }
}

interface XzStream {
  readonly input: Writable;
  readonly output: Readable;
  /** Rejects when the program was not content. */
  readonly done: Promise<void>;
}

function xzStream(options: readonly string[]): XzStream {
  const child = spawn("xz", options, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (piece: Buffer) => {
    said = (said + piece.toString()).slice(-1000);
  });
  const done = (async () => {
    try {
      const [code] = (await once(child, "close")) as [number | null];
      if (code !== 0) throw Object.assign(new Error(said.trim() || "xz was killed"), { code: "ERR_XZ" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw failure("program-missing", "the program xz is not installed", { hint: "apt-get install xz-utils" });
    }
  })();
  done.catch(() => {});
  child.stdin.on("error", () => {});
  return { input: child.stdin, output: child.stdout, done };
}
