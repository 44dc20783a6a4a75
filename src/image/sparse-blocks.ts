import { assert } from "../base/error.ts";
import type { Extent } from "./extent.ts";

/** Bytes. The unit in which file-system metadata is kept, compared and published. */
export const blockBytes = 4096;

/** A wide, mostly empty address space to write metadata into: only blocks that were touched exist. */
export interface SparseBlocks {
  /** The zero-initialised bytes [offset, offset + length), which must lie inside one block. */
  readonly view: (offset: number, length: number) => Buffer;
  /** Copies bytes to any offset, across blocks where needed. */
  readonly put: (offset: number, bytes: Uint8Array) => void;
  /** Touched blocks, neighbours merged, sorted by start. */
  readonly extents: () => Extent[];
}

export function sparseBlocks(): SparseBlocks {
  const blocks = new Map<number, Buffer>();
  let slab: Buffer = Buffer.alloc(0);

  const block = (index: number): Buffer => {
    const known = blocks.get(index);
    if (known) return known;
    if (slab.length === 0) slab = Buffer.alloc(slabBytes);
    const fresh = slab.subarray(0, blockBytes);
    slab = slab.subarray(blockBytes);
    blocks.set(index, fresh);
    return fresh;
  };

  const view = (offset: number, length: number): Buffer => {
    const within = offset % blockBytes;
    assert(within + length <= blockBytes, `${length} bytes at ${offset} cross a block boundary`);
    return block((offset - within) / blockBytes).subarray(within, within + length);
  };

  const put = (offset: number, bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length; ) {
      const length = Math.min(bytes.length - done, blockBytes - ((offset + done) % blockBytes));
      view(offset + done, length).set(bytes.subarray(done, done + length));
      done += length;
    }
  };

  return { view, put, extents: () => mergedExtents(blocks) };
}

const slabBytes = 64 * blockBytes;

function mergedExtents(blocks: ReadonlyMap<number, Buffer>): Extent[] {
  const indices = Float64Array.from(blocks.keys()).sort();
  // All in one piece of memory: a thousand pieces would take longer to get than to fill.
  const all = Buffer.allocUnsafeSlow(indices.length * blockBytes);
  for (let i = 0; i < indices.length; i++) all.set(blocks.get(indices[i]!)!, i * blockBytes);
  const extents: Extent[] = [];
  for (let first = 0; first < indices.length; ) {
    let end = first + 1;
    while (end < indices.length && indices[end] === indices[end - 1]! + 1) end++;
    const bytes = all.subarray(first * blockBytes, end * blockBytes);
    extents.push({ start: indices[first]! * blockBytes, length: bytes.length, source: { kind: "bytes", bytes } });
    first = end;
  }
  return extents;
}
