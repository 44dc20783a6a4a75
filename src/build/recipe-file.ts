import { crc32 } from "node:zlib";
import { type DiskRange, diskRecipe, type Extent } from "../image/extent.ts";
import type { DiskImage } from "./disk-image.ts";

/**
 * A disk image as the pieces of one file: a line of JSON with a table of extents, then the literal bytes one after another, then
 * a checksum of all that. Compact, because it is read whenever nothing changed.
 */
export function encodeRecipe(image: Omit<DiskImage, "key">): readonly Uint8Array[] {
  const segments = new Map<string, number>();
  const pieces: Uint8Array[] = [];
  let position = 0;
  const rows = image.recipe.extents.map(({ start, length, source }) => {
    if (source.kind === "segment") {
      if (!segments.has(source.segment)) segments.set(source.segment, segments.size);
      return [start, length, segments.get(source.segment)!, source.offset];
    }
    pieces.push(source.bytes);
    position += length;
    return [start, length, -1, position - length];
  });
  const { imageHash, files, dataBytes, recipe } = image;
  const head = {
    version: 2,
    imageHash,
    files,
    dataBytes,
    size: recipe.size,
    free: recipe.free,
    segments: [...segments.keys()],
    rows,
  };
  const all = [Buffer.from(`${JSON.stringify(head)}\n`), ...pieces];
  const trailer = Buffer.alloc(checksumBytes);
  trailer.writeUInt32LE(all.reduce((sum, piece) => crc32(piece, sum), 0));
  return [...all, trailer];
}

/** Undefined for a file that is not whole or not of this version: the image is then laid out anew. */
export function decodeRecipe(file: Buffer): Omit<DiskImage, "key"> | undefined {
  const body = file.subarray(0, -checksumBytes);
  if (file.length < checksumBytes || crc32(body) !== file.readUInt32LE(body.length)) return undefined;
  const lineEnd = body.indexOf(0x0a);
  const head = JSON.parse(body.subarray(0, lineEnd).toString()) as {
    version: number;
    imageHash: string;
    files: number;
    dataBytes: number;
    size: number;
    free?: DiskRange[];
    segments: string[];
    rows: [number, number, number, number][];
  };
  if (head.version !== 2) return undefined;
  const literals = body.subarray(lineEnd + 1);
  const extents = head.rows.map(
    ([start, length, segment, offset]): Extent => ({
      start,
      length,
      source:
        segment === -1
          ? { kind: "bytes", bytes: literals.subarray(offset, offset + length) }
          : { kind: "segment", segment: head.segments[segment]!, offset },
    }),
  );
  const { imageHash, files, dataBytes, size, free } = head;
  return { recipe: diskRecipe(size, extents, free), imageHash, files, dataBytes };
}

/** CRC-32: tells a file that a lost power supply left half-written, which is all that can happen to it. */
const checksumBytes = 4;
