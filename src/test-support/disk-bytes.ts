import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);
const blockBytes = 4096;
const zeros = Buffer.alloc(blockBytes);

/**
 * SHA-256 over the blocks of a sparse file that are not zeros, with their places: as telling as that of all of its
 * 32 GiB, in a second. Where data may be is asked of QEMU (SEEK_DATA of the file system); it is read with no help of
 * what wrote it.
 */
export async function diskDigest(file: string): Promise<string> {
  const { stdout } = await run("qemu-img", ["map", "--output=json", "-f", "raw", file], { maxBuffer: 1 << 28 });
  const pieces = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const hash = createHash("sha256").update(`${size}\n`);
  const buffer = Buffer.alloc(1024 * blockBytes);
  const opened = openSync(file, "r");
  try {
    for (const [start, end] of blockRanges(pieces)) {
      for (let at = start; at < end; ) {
        const length = readSync(opened, buffer, 0, Math.min(buffer.length, end - at), at);
        if (length === 0) break;
        addBlocks(hash, buffer.subarray(0, length), at);
        at += length;
      }
    }
  } finally {
    closeSync(opened);
  }
  return hash.digest("hex");
}

/** What `sha256sum` says of a file: all of it, by a program that is not ours. */
export async function sha256sum(file: string): Promise<string> {
  return (await run("sha256sum", ["--binary", file])).stdout.slice(0, 64);
}

/** Where data is, widened to whole blocks; no block twice. */
function blockRanges(pieces: readonly { start: number; length: number; data: boolean }[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const { start, length, data } of pieces) {
    if (!data) continue;
    const from = Math.max(Math.floor(start / blockBytes) * blockBytes, ranges.at(-1)?.[1] ?? 0);
    const to = Math.ceil((start + length) / blockBytes) * blockBytes;
    if (to > from) ranges.push([from, to]);
  }
  return ranges;
}

function addBlocks(hash: ReturnType<typeof createHash>, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; done += blockBytes) {
    const block = bytes.subarray(done, done + blockBytes);
    if (zeros.equals(block)) continue;
    hash.update(`${position + done}\n`).update(block);
  }
}
