import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../base/hash.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../image/extent.ts";
import { recipeHash } from "../image/output/recipe-identity.ts";
import { writeRaw } from "../image/output/write-raw.ts";
import type { ImageAbout, ImageRole } from "./about.ts";
import type { Publication, PublishSources } from "./pool.ts";

const MiB = 1 << 20;
export const sampleDiskBytes = 64 * MiB;
export const stamp = "202501020304";

/**
 * A small centre for tests of pools: segments in a folder, and disks made of them as real ones are, with addresses
 * that follow from the segment, literal bytes of their own, ragged edges and holes. The same on every run.
 */
export function sampleCentre() {
  const folder = mkdtempSync(join(tmpdir(), "meso-pool-sample-"));
  const segments = new Map(Object.entries(segmentSizes).map(([name, size]) => [name, pseudoRandom(name, size)]));
  mkdirSync(join(folder, "segments"));
  for (const [name, bytes] of segments) writeFileSync(join(folder, "segments", name), bytes);
  const digests = new Map([...segments].map(([name, bytes]) => [name, sha256(bytes)]));
  const sources: PublishSources = {
    files: { segmentDataPath: (segment) => join(folder, "segments", segment) },
    identify: (segment) => digests.get(segment)!,
    signal: new AbortController().signal,
  };
  return {
    folder,
    sources,
    /** What the disk holds, as a raw file for others to compare with. */
    rawFile: (recipe: DiskRecipe): string => {
      const path = join(folder, `${recipeHash(recipe, sources.identify)}.raw`);
      if (!existsSync(path)) writeRaw(recipe, path, sources.files);
      return path;
    },
    publication: (machine: string, version: Version): Publication => {
      const recipe = sampleRecipe(machine, version);
      const name = `VMroot_${machine}_${20250102030 + version}0`.replaceAll("/", "-");
      return { name, recipe, about: publishedAbout(machine, recipeHash(recipe, sources.identify)) };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export type SampleCentre = ReturnType<typeof sampleCentre>;

/**
 * 1: the first system. 2: `library` is another, elsewhere. 3: another kernel, at the place of the former. 4: machines
 * have `extra`, where disks of older versions have a hole.
 */
export type Version = 1 | 2 | 3 | 4;

export const segmentSizes = {
  base: 2 * MiB,
  library: 512 * 1024,
  "library-2": 516 * 1024,
  tools: MiB + 12 * 1024,
  kernel: MiB,
  "kernel-2": MiB,
  extra: 300 * 1024,
  large: 3 * MiB,
} as const;

type SegmentName = keyof typeof segmentSizes;

/** Multiples of 4 KiB, hardly ever of a cluster. */
const addresses: Record<SegmentName, number> = {
  kernel: 5 * MiB,
  "kernel-2": 5 * MiB,
  base: 12 * MiB + 4096,
  library: 20 * MiB + 3 * 4096,
  "library-2": 27 * MiB + 5 * 4096,
  tools: 33 * MiB + 7 * 4096,
  extra: 40 * MiB + 9 * 4096,
  // Lies over `tools`, which therefore lies elsewhere where there is both.
  large: 32 * MiB,
};

/** `big` and `both` have a segment that lies where others have another. */
function sampleRecipe(machine: string, version: Version): DiskRecipe {
  const present: SegmentName[] = ["base", version >= 2 ? "library-2" : "library", version >= 3 ? "kernel-2" : "kernel"];
  if (machine !== "big") present.push("tools");
  if (machine === "big" || machine === "both") present.push("large");
  if (version === 4) present.push("extra");
  const extents: Extent[] = present.map((segment) => ({
    start: segment === "tools" && machine === "both" ? 50 * MiB + 4096 : addresses[segment],
    length: segmentSizes[segment],
    source: { kind: "segment", segment, offset: 0 },
  }));
  const own = (start: number, bytes: Buffer): void => {
    extents.push({ start, length: bytes.length, source: { kind: "bytes", bytes } });
  };
  // A partition table, a piece that ends within a block, and the file system's own blocks.
  own(0, pseudoRandom("table", 512));
  own(MiB + 512, pseudoRandom(`core ${version}`, 31 * 1024 + 77));
  own(8 * MiB, pseudoRandom(`metadata ${machine} ${version}`, 96 * 1024));
  own(9 * MiB + 4096, pseudoRandom(`metadata ${machine}`, 8192));
  own(sampleDiskBytes - 512, pseudoRandom("backup table", 512));
  // File systems do not mind what lies in space that they have not given out; some of these disks do.
  const free = [{ start: 10 * MiB + 512, length: 50 * MiB }];
  return diskRecipe(sampleDiskBytes, extents, ["dns", "late", "both", "one"].includes(machine) ? undefined : free);
}

/** A disk with `extra` where no other has it. */
export function sampleUnread(): DiskRecipe {
  const source = { kind: "segment", segment: "extra", offset: 0 } as const;
  return diskRecipe(sampleDiskBytes, [{ start: 55 * MiB, length: segmentSizes.extra, source }]);
}

export function publishedAbout(machine: string, imageHash: string): ImageAbout {
  return {
    ...plainAbout("published", machine),
    system: {
      systemHash: sha256(machine),
      imageHash,
      lockHash: sha256("lock"),
      commit: "0123456789abcdef0123456789abcdef01234567",
      isClean: true,
      builder: "someone@somewhere, version 1",
      publishedAt: 1_700_000_000,
    },
  };
}

export function plainAbout(role: ImageRole, machine = "web"): ImageAbout {
  return { formatVersion: 1, centre: "sample", machine, role, stamp, ...(role === "volume" && { volume: "state" }) };
}

/** Bytes that compress to nothing smaller, by a generator of its own (xorshift32), seeded by a word. */
function pseudoRandom(word: string, length: number): Buffer {
  let state = Number.parseInt(sha256(word).slice(0, 8), 16) | 1;
  const numbers = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < numbers.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    numbers[i] = state;
  }
  return Buffer.from(numbers.buffer, 0, length);
}
