import { closeSync, openSync, readSync } from "node:fs";

export interface Qcow2Header {
  /** Of the disk, in bytes. */
  readonly size: number;
  /** As the file names what it lies over. */
  readonly backing?: string;
}

/** What a qcow2 file says of itself; undefined when it is no such file, or one that contradicts itself. */
export function readQcow2Header(path: string): Qcow2Header | undefined {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(4096);
    const got = readSync(file, head, 0, head.length, 0);
    return parseQcow2Header(head.subarray(0, got), (at, length) => {
      const bytes = Buffer.alloc(length);
      return readSync(file, bytes, 0, length, at) === length ? bytes : undefined;
    });
  } finally {
    closeSync(file);
  }
}

/** QEMU's docs/interop/qcow2.txt, "Header". */
export function parseQcow2Header(
  head: Buffer,
  read: (at: number, length: number) => Buffer | undefined,
): Qcow2Header | undefined {
  if (head.length < 72 || head.toString("latin1", 0, 4) !== "QFI\xfb") return undefined;
  const version = head.readUInt32BE(4);
  const clusterBits = head.readUInt32BE(20);
  const size = head.readBigUInt64BE(24);
  if (version < 2 || version > 3 || clusterBits < 9 || clusterBits > 21) return undefined;
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const nameAt = head.readBigUInt64BE(8);
  const nameLength = head.readUInt32BE(16);
  if (nameAt === 0n) return { size: Number(size) };
  // The name lies in the first cluster and has 1023 bytes at most.
  if (nameLength === 0 || nameLength > 1023 || nameAt + BigInt(nameLength) > 1n << BigInt(clusterBits))
    return undefined;
  const name = read(Number(nameAt), nameLength);
  return name && { size: Number(size), backing: name.toString("utf8") };
}
