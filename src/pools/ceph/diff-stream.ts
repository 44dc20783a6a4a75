import type { DiskChange } from "./rbd-driver.ts";

/**
 * A change of an image as `rbd import-diff` reads it (Ceph, doc/dev/rbd-diff.rst, version 1): little-endian records of
 * one tag byte. The snapshot to begin from, the one to end with and the size come first; then zeroes and data, none
 * across the border of an object, as a record is read into memory whole. What is cut short makes no snapshot.
 */
export function* diffStream(change: Omit<DiskChange, "signal">): Generator<Uint8Array> {
  yield Buffer.from("rbd diff v1\n");
  if (change.since !== undefined) yield named("f", change.since);
  if (change.snapshot !== undefined) yield named("t", change.snapshot);
  // Always the true size: the image is cut to whatever stands here.
  yield record("s", change.size);
  for (const { start, length } of change.zeros) yield record("z", start, length);
  for (const range of [...(change.fresh ?? []), ...change.writes].sort((a, b) => a.start - b.start)) {
    yield record("w", range.start, range.length);
    yield change.read(range);
  }
  yield Buffer.from("e");
}

function named(tag: string, name: string): Buffer {
  const bytes = Buffer.from(name);
  const head = Buffer.alloc(5);
  head.write(tag);
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function record(tag: string, ...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(1 + 8 * numbers.length);
  bytes.write(tag);
  for (const [i, number] of numbers.entries()) bytes.writeBigUInt64LE(BigInt(number), 1 + 8 * i);
  return bytes;
}
