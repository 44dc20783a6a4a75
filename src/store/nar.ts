import { createHash } from "node:crypto";
import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";
import { assert, failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";

/**
 * A Nix archive (Dolstra 2006, section 5.2.1) of the file, link or directory at `path`, piece by piece to
 * `write`. Pieces are only valid during the call. Only names, contents, links and the owner's execute bit
 * are part of it.
 *
 * @throws MesoError `not-archivable` for sockets, devices and pipes.
 */
export function writeNar(path: string, write: (piece: Uint8Array) => void): void {
  for (const piece of narPieces(path)) write(piece);
}

/** The same for who takes pieces when it is ready for them, and keeps them: of 256 KiB, but for the last. */
export async function* narStream(path: string): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafe(chunkBytes);
  let filled = 0;
  for (const piece of narPieces(path)) {
    for (let done = 0; done < piece.length; ) {
      const count = Math.min(piece.length - done, chunkBytes - filled);
      chunk.set(piece.subarray(done, done + count), filled);
      done += count;
      filled += count;
      if (filled < chunkBytes) continue;
      yield chunk;
      chunk = Buffer.allocUnsafe(chunkBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

const chunkBytes = 1 << 18;

function* narPieces(path: string): Generator<Uint8Array> {
  yield narStrings("nix-archive-1");
  // One for all files: thousands of them would wait for the garbage collector.
  yield* nodePieces(path, new Uint8Array(1 << 20));
}

/** SHA-256 (hexadecimal) and length in bytes of the archive of `path`. */
export function narHash(path: string): { readonly sha256: string; readonly size: number } {
  const hash = createHash("sha256");
  let size = 0;
  writeNar(path, (piece) => {
    hash.update(piece);
    size += piece.length;
  });
  return { sha256: hash.digest("hex"), size };
}

function* nodePieces(path: string, buffer: Uint8Array): Generator<Uint8Array> {
  const status = lstatSync(path);
  if (status.isSymbolicLink()) {
    yield narStrings("(", "type", "symlink", "target", readlinkSync(path, { encoding: "buffer" }), ")");
  } else if (status.isDirectory()) {
    yield narStrings("(", "type", "directory");
    for (const name of sortedBy(readdirSync(path), (entry) => entry)) {
      yield narStrings("entry", "(", "name", name, "node");
      yield* nodePieces(join(path, name), buffer);
      yield narStrings(")");
    }
    yield narStrings(")");
  } else if (status.isFile()) {
    yield* filePieces(path, buffer);
  } else {
    throw failure("not-archivable", `${path} is neither a file, a directory nor a symbolic link`);
  }
}

function* filePieces(path: string, buffer: Uint8Array): Generator<Uint8Array> {
  const file = openSync(path, "r");
  try {
    const { size, mode } = fstatSync(file);
    yield narStrings("(", "type", "regular", ...((mode & 0o100) !== 0 ? ["executable", ""] : []), "contents");
    yield lengthOf(size);
    for (let left = size; left > 0; ) {
      const got = readSync(file, buffer, 0, Math.min(left, buffer.length), null);
      assert(got > 0, `${path} shrank while it was read`);
      yield buffer.subarray(0, got);
      left -= got;
    }
    yield new Uint8Array(paddingOf(size));
    yield narStrings(")");
  } finally {
    closeSync(file);
  }
}

/** Strings as archives hold them: length, bytes, padding. */
export function narStrings(...strings: readonly (string | Uint8Array)[]): Uint8Array {
  const pieces = strings.flatMap((text) => {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    return [lengthOf(bytes.length), bytes, new Uint8Array(paddingOf(bytes.length))];
  });
  return Buffer.concat(pieces);
}

function lengthOf(bytes: number): Uint8Array {
  const field = Buffer.alloc(8);
  field.writeBigUInt64LE(BigInt(bytes));
  return field;
}

/** Strings are padded to 8 bytes. */
function paddingOf(bytes: number): number {
  return -bytes & 7;
}
