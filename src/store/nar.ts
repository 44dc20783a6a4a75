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
  write(narStrings("nix-archive-1"));
  writeNode(path, write);
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

function writeNode(path: string, write: (piece: Uint8Array) => void): void {
  const status = lstatSync(path);
  if (status.isSymbolicLink()) {
    write(narStrings("(", "type", "symlink", "target", readlinkSync(path, { encoding: "buffer" }), ")"));
  } else if (status.isDirectory()) {
    write(narStrings("(", "type", "directory"));
    for (const name of sortedBy(readdirSync(path), (entry) => entry)) {
      write(narStrings("entry", "(", "name", name, "node"));
      writeNode(join(path, name), write);
      write(narStrings(")"));
    }
    write(narStrings(")"));
  } else if (status.isFile()) {
    writeRegular(path, write);
  } else {
    throw failure("not-archivable", `${path} is neither a file, a directory nor a symbolic link`);
  }
}

function writeRegular(path: string, write: (piece: Uint8Array) => void): void {
  const file = openSync(path, "r");
  try {
    const { size, mode } = fstatSync(file);
    write(narStrings("(", "type", "regular", ...((mode & 0o100) !== 0 ? ["executable", ""] : []), "contents"));
    write(lengthOf(size));
    const buffer = new Uint8Array(Math.min(size, 1 << 20));
    for (let left = size; left > 0; ) {
      const got = readSync(file, buffer, 0, Math.min(left, buffer.length), null);
      assert(got > 0, `${path} shrank while it was read`);
      write(buffer.subarray(0, got));
      left -= got;
    }
    write(new Uint8Array(paddingOf(size)));
    write(narStrings(")"));
  } finally {
    closeSync(file);
  }
}

function narStrings(...strings: readonly (string | Uint8Array)[]): Uint8Array {
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
