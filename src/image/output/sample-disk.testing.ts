import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../../base/hash.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";

/** Removed as the process ends, however its tests end. */
const folders: string[] = [];
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** For tests: a disk of awkward extents, its segments in a folder of their own, and its bytes as a plain model. */
export function sampleDisk(seed: number, sizeBytes = 96 << 20) {
  const folder = mkdtempSync(join(tmpdir(), "meso-disk-"));
  folders.push(folder);
  const next = randomNumbers(seed);
  const segments = ["a", "b"].map((name) => {
    const bytes = Buffer.from(Uint8Array.from({ length: 3 << 20 }, () => next(256)));
    writeFileSync(join(folder, name), bytes);
    return { name, bytes };
  });
  const extents: Extent[] = [];
  for (let at = 512 * next(40); ; ) {
    const length = 1 + next(next(2) === 0 ? 9000 : 400_000);
    if (at + length > sizeBytes || extents.length > 120) break;
    const segment = segments[next(3)];
    const offset = 4096 * next(500);
    const source = segment
      ? { kind: "segment" as const, segment: segment.name, offset }
      : { kind: "bytes" as const, bytes: Buffer.alloc(length, 1 + next(250)) };
    extents.push({ start: at, length, source });
    at += length + (next(3) === 0 ? 0 : 512 * next(2000));
  }
  const recipe = diskRecipe(sizeBytes, extents);
  const files = { segmentDataPath: (segment: string) => join(folder, segment) };
  const identify = (segment: string) => sha256(segments.find(({ name }) => name === segment)!.bytes);
  return { recipe, files, folder, identify, bytes: () => modelOf(recipe, segments) };
}

function modelOf(recipe: DiskRecipe, segments: readonly { name: string; bytes: Buffer }[]): Buffer {
  const disk = Buffer.alloc(recipe.size);
  for (const { start, length, source } of recipe.extents) {
    const bytes =
      source.kind === "bytes"
        ? source.bytes
        : segments.find(({ name }) => name === source.segment)!.bytes.subarray(source.offset);
    disk.set(bytes.subarray(0, length), start);
  }
  return disk;
}

/** A linear congruential generator: the same disk on every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
