import { promisify } from "node:util";
import { constants, crc32, type ZstdOptions, zstdCompress, zstdDecompressSync } from "node:zlib";
import { type DiskRange, type DiskRecipe, diskRecipe, type Extent } from "../image/extent.ts";
import type { DiskImage } from "./disk-image.ts";

/**
 * A disk image as one file: a line of JSON about it behind a checksum, then its recipe, compressed. `packed` may be begun as soon as there
 * is a recipe: another processor compresses it meanwhile.
 */
export function encodeImage(image: Omit<DiskImage, "key">, packed: Uint8Array): Uint8Array {
  const { imageHash, files, dataBytes } = image;
  const about = JSON.stringify({ version: 3, imageHash, files, dataBytes });
  return Buffer.concat([Buffer.from(`${crc32(about)} ${about}\n`), packed]);
}

/**
 * A line of JSON with a table of extents, then the literal bytes one after another, compressed with a checksum behind
 * their length. Literal bytes are blocks of metadata, of which a twentieth is left: to compress them costs less than to
 * write them.
 */
export async function packRecipe(recipe: DiskRecipe): Promise<Uint8Array> {
  const segments = new Map<string, number>();
  const pieces: Uint8Array[] = [];
  let position = 0;
  const rows = recipe.extents.map(({ start, length, source }) => {
    if (source.kind === "segment") {
      if (!segments.has(source.segment)) segments.set(source.segment, segments.size);
      return [start, length, segments.get(source.segment)!, source.offset];
    }
    pieces.push(source.bytes);
    position += length;
    return [start, length, -1, position - length];
  });
  const head = { size: recipe.size, free: recipe.free, segments: [...segments.keys()], rows };
  const body = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...pieces]);
  const length = Buffer.alloc(lengthBytes);
  length.writeBigUInt64LE(BigInt(body.length));
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = constants;
  const params = { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_checksumFlag]: 1 };
  return Buffer.concat([length, await compress(body, { params, chunkSize: 1 << 20 })]);
}

const compress = promisify<Buffer, ZstdOptions, Buffer>(zstdCompress);

/** Undefined for a file that is not whole or not of this version: the image is then laid out anew. */
export function decodeImage(file: Buffer): Omit<DiskImage, "key"> | undefined {
  const end = file.indexOf(0x0a);
  const body = end < 0 ? undefined : expanded(file.subarray(end + 1));
  if (body === undefined) return undefined;
  const [, checksum, text = ""] = /^(\d+) (.*)$/.exec(file.subarray(0, end).toString()) ?? [];
  if (checksum !== String(crc32(text))) return undefined;
  const about = JSON.parse(text) as Omit<DiskImage, "key" | "recipe"> & { version: number };
  if (about.version !== 3) return undefined;
  const lineEnd = body.indexOf(0x0a);
  const head = JSON.parse(body.subarray(0, lineEnd).toString()) as {
    size: number;
    free?: DiskRange[];
    segments: string[];
    rows: [number, number, number, number][];
  };
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
  const { imageHash, files, dataBytes } = about;
  return { recipe: diskRecipe(head.size, extents, head.free), imageHash, files, dataBytes };
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
