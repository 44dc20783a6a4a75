import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileTree } from "../../store/file-tree.ts";
import type { DiskRecipe } from "../extent.ts";
import { place } from "../placement.ts";
import { materialise } from "./materialise.testing.ts";
import { ext4DataRegion, writeExt4 } from "./write-ext4.ts";

export const gibibyte = 2 ** 30;
export const testUuid = "00112233-4455-6677-8899-aabbccddeeff";

/** The tree as a file system, its segments placed as an image's builder does. */
export function recipeOf(
  tree: FileTree,
  segments: ReadonlyMap<string, number> = new Map(),
  size = gibibyte,
  uuid = testUuid,
): DiskRecipe {
  const region = ext4DataRegion(size);
  const items = [...segments].map(([key, bytes]) => ({ key, units: bytes / 4096 }));
  const blocks = place(items, { start: region.start / 4096, length: region.length / 4096 });
  const segmentPlacement = new Map([...blocks].map(([key, block]) => [key, block * 4096]));
  return writeExt4(tree, { size, label: "my-root", uuid, segments, segmentPlacement });
}

/** Runs `use` on a file that holds the recipe, beside files for the given segments. */
export function withImage<T>(
  recipe: DiskRecipe,
  segmentData: ReadonlyMap<string, Uint8Array>,
  use: (image: string, folder: string) => T,
): T {
  const folder = mkdtempSync(join(tmpdir(), "ext4-test-"));
  try {
    const files = new Map([...segmentData.keys()].map((id) => [id, join(folder, `segment-${id}`)]));
    for (const [id, path] of files) writeFileSync(path, segmentData.get(id)!);
    const image = join(folder, "image");
    materialise(recipe, files, image);
    return use(image, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What `e2fsck -fn` finds wrong; empty when it finds nothing. */
export function complaints(image: string): string {
  const { status, stdout, stderr } = run("e2fsck", ["-fn", image]);
  const usual = /^(e2fsck .*|Pass [1-5]: .*|.*: \d+\/\d+ files .*|)$/;
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => !usual.test(line));
  return status === 0 && lines.length === 0 ? "" : `exit ${status}\n${lines.join("\n")}`;
}

export function debugfs(image: string, request: string): string {
  return run("debugfs", ["-R", request, image]).stdout;
}

export function run(
  command: string,
  args: readonly string[],
  input = "",
): { status: number | null; stdout: string; stderr: string } {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  const { error, ...result } = spawnSync(command, args, {
    ...{ encoding: "utf8", input, maxBuffer: 1 << 26 },
    env: { ...process.env, PATH: path, LC_ALL: "C.UTF-8", TZ: "UTC", DEBUGFS_PAGER: "cat", PAGER: "cat" },
  });
  if (error) throw error;
  return result;
}
