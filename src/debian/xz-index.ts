import { crc32 } from "node:zlib";
import { failure } from "../base/error.ts";

/** Stream header and footer, each. */
const frameBytes = 12;

/** An index of a million blocks; real archives have one block for each 24 MiB or so. */
const maximumIndexBytes = 16 * 1024 * 1024;

/**
 * How many bytes one xz stream expands to, by the index at its end (The .xz File Format 1.2.1, sections 2.1
 * and 4). `read` gives bytes of the stream, which is `size` long. A stream that expands to something else is
 * refused by the decompressor, but only at its end: who decompresses must stop at this bound.
 *
 * @throws MesoError `corrupt-archive` when the bytes are not exactly one stream.
 */
export function xzUncompressedBytes(read: (position: number, length: number) => Uint8Array, size: number): number {
  if (size < 2 * frameBytes + 8 || size % 4 !== 0) throw corrupt("is cut short");
  if (hex(read(0, 6)) !== "fd377a585a00") throw corrupt("does not begin as one");
  const footer = viewOf(read(size - frameBytes, frameBytes));
  if (footer.getUint16(10) !== 0x595a) throw corrupt("does not end as one");
  if (footer.getUint32(0, true) !== crc32(bytesOf(footer).subarray(4, 10))) throw corrupt("has a damaged footer");
  const indexBytes = (footer.getUint32(4, true) + 1) * 4;
  if (indexBytes > maximumIndexBytes || indexBytes > size - 2 * frameBytes) throw corrupt("has an absurd index");
  const index = read(size - frameBytes - indexBytes, indexBytes);
  if (viewOf(index).getUint32(indexBytes - 4, true) !== crc32(index.subarray(0, -4))) {
    throw corrupt("has a damaged index");
  }
  const { compressed, uncompressed } = sumOfBlocks(index.subarray(0, -4));
  if (compressed + indexBytes + 2 * frameBytes !== size)
    throw corrupt("holds something beside the blocks of its index");
  return uncompressed;
}

function sumOfBlocks(index: Uint8Array): { compressed: number; uncompressed: number } {
  let at = 0;
  /** Seven bits a byte, lowest first (section 1.2). */
  function next(): number {
    let value = 0;
    for (let shift = 1; at < index.length; shift *= 128) {
      const byte = index[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) break;
    }
    if (!Number.isSafeInteger(value)) throw corrupt("has an absurd index");
    return value;
  }
  if (next() !== 0) throw corrupt("has a damaged index");
  const blocks = next();
  let compressed = 0;
  let uncompressed = 0;
  for (let block = 0; block < blocks; block++) {
    if (at >= index.length) throw corrupt("has a damaged index");
    compressed += Math.ceil(next() / 4) * 4;
    uncompressed += next();
  }
  return { compressed, uncompressed };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function corrupt(why: string) {
  return failure("corrupt-archive", `a member named .xz ${why}`, { expected: "one complete xz stream" });
}
