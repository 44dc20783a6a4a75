import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { writeRecipeFile } from "../test-support/recipe-file.ts";
import { erofsDataRegion } from "./erofs/layout.ts";
import { sampleTree } from "./erofs/sample-trees.testing.ts";
import { writeErofs } from "./erofs/write-erofs.ts";
import { systemOf } from "./ext4/example-tree.testing.ts";
import { complaints, recipeOf, withImage } from "./ext4/image-file.testing.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "./extent.ts";
import { writeFat } from "./fat/write-fat.ts";
import { place } from "./placement.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-free-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a pool may leave on a disk: bytes of others wherever no extent lies in free space. */
describe("free space may hold anything", () => {
  it("in ext4", () => {
    const { tree, segments } = systemOf(12);
    const recipe = recipeOf(tree, segments);
    const data = new Map([...segments].map(([id, bytes]) => [id, Buffer.alloc(bytes, 7)]));
    assert.equal(withImage(littered(recipe), data, complaints), "");
  });

  it("in EROFS", () => {
    const { tree, segments } = sampleTree();
    const size = 2 ** 30;
    const region = erofsDataRegion(size);
    const lengths = new Map([...segments].map(([id, bytes]) => [id, bytes.length]));
    const blocks = place(
      [...lengths].map(([key, bytes]) => ({ key, units: bytes / 4096 })),
      { start: region.start / 4096, length: region.length / 4096 },
    );
    const segmentPlacement = new Map([...blocks].map(([key, block]) => [key, block * 4096]));
    const uuid = "01234567-89ab-cdef-0123-456789abcdef";
    const options = { size, label: "root", uuid, segments: lengths, segmentPlacement };
    const image = join(folder, "erofs");
    writeRecipeFile(image, littered(writeErofs(tree, options)), segments);
    judge("fsck.erofs", [image]);
  });

  it("in FAT", () => {
    const files = ["/EFI/BOOT/BOOTX64.EFI", "/loader/loader.conf", "/loader/entries/a.conf"].map((path) => ({
      path,
      size: 5000,
      content: { kind: "bytes", bytes: Buffer.alloc(5000, path) } as const,
    }));
    const image = join(folder, "fat");
    const options = { size: 300 << 20, label: "EFI", volumeId: 1, hiddenSectors: 2048 };
    writeRecipeFile(image, littered(writeFat(files, options)), new Map());
    judge("fsck.fat", ["-n", image]);
  });
});

/** The disk with rubbish at both ends of each hole in its free space. */
function littered(recipe: DiskRecipe): DiskRecipe {
  assert.ok(recipe.free && recipe.free.length > 0);
  const litter: Extent[] = [];
  const drop = (start: number, length: number): void => {
    if (length > 0) litter.push({ start, length, source: { kind: "bytes", bytes: Buffer.alloc(length, 0xa5) } });
  };
  for (const { start, length } of recipe.free) {
    let at = start;
    const until = (stop: number): void => {
      const room = stop - at;
      drop(at, Math.min(room, most));
      drop(Math.max(stop - most, at + most), Math.min(most, room - most));
    };
    for (const extent of recipe.extents) {
      if (extent.start + extent.length <= start || extent.start >= start + length) continue;
      until(extent.start);
      at = extent.start + extent.length;
    }
    until(start + length);
  }
  assert.ok(litter.length > 3);
  return diskRecipe(recipe.size, [...recipe.extents, ...litter]);
}

const most = 256 << 10;

function judge(program: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
}
