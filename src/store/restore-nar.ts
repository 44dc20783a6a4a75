import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fchmodSync,
  futimesSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type ByteReader, type NarSink, readNar, readNarWithin } from "./read-nar.ts";

/**
 * Restores an archive as `target`, which must not exist: read-only, executable as the archive says, every time 1, as
 * items of a store are. What was written before an error stays for the caller to remove.
 *
 * @returns SHA-256 (hexadecimal) and length in bytes of what was read.
 * @throws MesoError `bad-nar`.
 */
export async function restoreNar(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  target: string,
): Promise<{ readonly sha256: string; readonly size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  async function* counted() {
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  }
  await restored(target, (sink) => readNar(counted(), sink));
  return { sha256: hash.digest("hex"), size };
}

/** The same for an archive that more follows, which `input` has just reached. */
export function restoreNarWithin(input: ByteReader, target: string): Promise<void> {
  return restored(target, (sink) => readNarWithin(input, sink));
}

async function restored(target: string, read: (sink: NarSink) => Promise<void>): Promise<void> {
  const sink = treeWriter(target);
  try {
    await read(sink);
  } finally {
    sink.abandon();
  }
}

/** Seconds since 1970: what every item of a store has. */
const itemTime = 1;

function treeWriter(target: string): NarSink & { readonly abandon: () => void } {
  const folders: string[] = [];
  let file: number | undefined;
  let mode = 0;
  const pathOf = (name: string): string => (folders.length === 0 ? target : join(folders.at(-1)!, name));
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  return {
    openDirectory: (name) => {
      const path = pathOf(name);
      mkdirSync(path, { mode: 0o755 });
      folders.push(path);
    },
    closeDirectory: () => {
      const path = folders.pop()!;
      chmodSync(path, 0o555);
      utimesSync(path, itemTime, itemTime);
    },
    symlink: (name, bytes) => {
      const path = pathOf(name);
      symlinkSync(Buffer.from(bytes), path);
      lutimesSync(path, itemTime, itemTime);
    },
    openFile: (name, _size, isExecutable) => {
      file = openSync(pathOf(name), "wx", 0o600);
      mode = isExecutable ? 0o555 : 0o444;
    },
    data: (piece) => {
      for (let done = 0; done < piece.length; ) done += writeSync(file!, piece, done);
    },
    closeFile: () => {
      fchmodSync(file!, mode);
      futimesSync(file!, itemTime, itemTime);
      close();
    },
    abandon: close,
  };
}
