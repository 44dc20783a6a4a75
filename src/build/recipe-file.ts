import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type DiskRange, diskRecipe, type Extent } from "../image/extent.ts";
import type { DiskImage } from "./disk-image.ts";

/**
 * A disk image as one file: a line of JSON with a table of extents, then the literal bytes one after another, compressed
 * with a checksum behind their length. Literal bytes are blocks of metadata, of which a twentieth is left: to compress
 * them costs less than to write them.
 */
export function encodeRecipe(image: Omit<DiskImage, "key">): Uint8Array {
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
    version: 3,
    imageHash,
    files,
    dataBytes,
    size: recipe.size,
    free: recipe.free,
    segments: [...segments.keys()],
    rows,
  };
  const body = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...pieces]);
  const length = Buffer.alloc(lengthBytes);
  length.writeBigUInt64LE(BigInt(body.length));
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = constants;
  return Buffer.concat([
    length,
    zstdCompressSync(body, { params: { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_checksumFlag]: 1 } }),
  ]);
}

/** Undefined for a file that is not whole or not of this version: the image is then laid out anew. */
export function decodeRecipe(file: Buffer): Omit<DiskImage, "key"> | undefined {
  const body = expanded(file);
  if (body === undefined) return undefined;
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
  if (head.version !== 3) return undefined;
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

const lengthBytes = 8;

/** Undefined for what a lost power supply left half-written, which is all that can happen to the file. */
function expanded(file: Buffer): Buffer | undefined {
  if (file.length < lengthBytes) return undefined;
  const length = Number(file.readBigUInt64LE());
  try {
    const body = zstdDecompressSync(file.subarray(lengthBytes), { chunkSize: Math.max(length, 64) });
    return body.length === length ? body : undefined;
  } catch {
    return undefined;
  }
}
