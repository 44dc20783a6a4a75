import { closeSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { failure } from "../../base/error.ts";
import type { DiskRecipe } from "../extent.ts";
import { asideOf } from "./aside.ts";
import { contentReader, type SegmentFiles } from "./recipe-reader.ts";

/**
 * Writes the disk as a sparse file: only extents are written, in long sequential pieces. The file appears
 * whole, by a rename. As with cp(1), it is left to the kernel when its pages reach the disk: the image can be
 * made again, and waiting costs more than all the rest. Gives the number of bytes written.
 *
 * @throws MesoError `cannot-write` when the folder or the disk refuses, `damaged-segment`.
 */
export function writeRaw(recipe: DiskRecipe, path: string, files: SegmentFiles): number {
  const reader = contentReader(files);
  let aside: string | undefined;
  try {
    aside = asideOf(path);
    const file = openSync(aside, "wx");
    let written = 0;
    try {
      ftruncateSync(file, recipe.size);
      written = writeExtents(recipe, file, reader.read);
    } finally {
      closeSync(file);
    }
    renameSync(aside, path);
    return written;
  } catch (error) {
    if (aside) rmSync(aside, { force: true });
    throw explained(error, path);
  } finally {
    reader.close();
  }
}

const bufferBytes = 4 << 20;

type Read = ReturnType<typeof contentReader>["read"];

/** Extents that touch share one buffer, so that thousands of small files become few writes. */
function writeExtents(recipe: DiskRecipe, file: number, read: Read): number {
  const buffer = Buffer.allocUnsafe(bufferBytes);
  let bufferStart = 0;
  let filled = 0;
  let written = 0;
  const flush = () => {
    for (let done = 0; done < filled; ) done += writeSync(file, buffer, done, filled - done, bufferStart + done);
    written += filled;
    bufferStart += filled;
    filled = 0;
  };
  for (const extent of joinedExtents(recipe)) {
    if (extent.start !== bufferStart + filled) {
      flush();
      bufferStart = extent.start;
    }
    for (let done = 0; done < extent.length; ) {
      if (filled === bufferBytes) flush();
      const length = Math.min(extent.length - done, bufferBytes - filled);
      read(extent.source, done, buffer.subarray(filled, filled + length));
      filled += length;
      done += length;
    }
  }
  flush();
  return written;
}

/** Neighbours that go on in the same segment where the one before ends are one piece: one read. */
function* joinedExtents(recipe: DiskRecipe) {
  let held = recipe.extents[0];
  for (const extent of recipe.extents.slice(1)) {
    const { source } = extent;
    const goesOn =
      held!.source.kind === "segment" &&
      source.kind === "segment" &&
      source.segment === held!.source.segment &&
      extent.start === held!.start + held!.length &&
      source.offset === held!.source.offset + held!.length;
    if (goesOn) {
      held = { ...held!, length: held!.length + extent.length };
    } else {
      yield held!;
      held = extent;
    }
  }
  if (held) yield held;
}

function explained(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  const expected: Record<string, string> = {
    ENOSPC: "room on that file system",
    EFBIG: "a file system that allows sparse files of this size",
    EACCES: "a folder that you may write",
    EROFS: "a file system that can be written",
    ENOENT: "a folder that exists",
    EISDIR: "a file name, not a folder",
  };
  const wanted = code && expected[code];
  return wanted ? failure("cannot-write", `${path}: ${(error as Error).message}`, { expected: wanted }, error) : error;
}
