import { lstatSync, mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { sweepAbandoned } from "./owner.ts";

/** Scratch of one use stays below this, so that many uses at once do not fill the memory of a small machine. Bytes. */
const largestInMemory = 256 * 2 ** 20;
/** Memory that must be left over. Bytes. */
const roomToLeave = 2 * 2 ** 30;

/**
 * The folder in memory for what need not outlive a process, where the machine has one with room; undefined elsewhere.
 * Thousands of small files are made and removed many times faster there than on a disk with a journal.
 *
 * @param bytes how much will be put there, about.
 */
export function memoryFolder(bytes: number, shared = "/dev/shm"): string | undefined {
  if (bytes > largestInMemory) return undefined;
  try {
    const { bavail, bsize } = statfsSync(shared);
    if (bavail * bsize < bytes + roomToLeave) return undefined;
    return ownFolder(join(shared, `meso-${process.getuid?.() ?? 0}`));
  } catch {
    return undefined;
  }
}

/** Anybody may write in the shared folder: one that is not ours alone could be a trap. */
function ownFolder(path: string): string | undefined {
  if (known.has(path)) return path;
  mkdirSync(path, { mode: 0o700, recursive: true });
  const status = lstatSync(path);
  if (!status.isDirectory() || status.uid !== process.getuid?.() || (status.mode & 0o077) !== 0) return undefined;
  sweepAbandoned(path);
  known.add(path);
  return path;
}

const known = new Set<string>();
