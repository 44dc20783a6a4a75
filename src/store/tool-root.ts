import { lstat, mkdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failure } from "../base/error.ts";
import { hashOf, sha256 } from "../base/hash.ts";
import { compareBytes } from "../base/order.ts";
import type { FileEntry } from "./file-tree.ts";
import { ownerTag, sweepAbandoned } from "./owner.ts";
import { type ClosureOptions, type ToolPath, toolClosure } from "./tool-root-closure.ts";

export interface ToolRootOptions extends ClosureOptions {
  /** Where tool roots are kept, one folder each, named by its contents. */
  readonly cacheDirectory: string;
}

/**
 * The smallest folder from which `binaries` run: they, their interpreters and the shared libraries they
 * need, transitively. Extracted once; a root found damaged (a kill, a cleaner) is made again.
 *
 * @throws MesoError `missing-tool` when a binary, a library or an extra path is not in the tree.
 */
export async function toolRoot(options: ToolRootOptions): Promise<{ directory: string; key: string }> {
  const closure = await toolClosure(options);
  const key = hashOf({ version: 1, paths: closure.map(({ path, entry }) => [path, describe(entry)]) }).slice(0, 32);
  const directory = join(options.cacheDirectory, key);
  if (await isWhole(directory, closure)) return { directory, key };
  await mkdir(options.cacheDirectory, { recursive: true });
  sweepAbandoned(options.cacheDirectory, asidePrefix);
  const aside = join(options.cacheDirectory, `${asidePrefix}${ownerTag()}.${asideCounter++}`);
  try {
    await extract(aside, closure, options.read);
    await replaceDirectory(aside, directory, () => isWhole(directory, closure));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { directory, key };
}

const asidePrefix = ".new-";
let asideCounter = 0;

function describe(entry: ToolPath["entry"]): unknown {
  if (entry.kind === "symlink") return ["symlink", entry.target];
  const { content } = entry;
  const identity = content.kind === "bytes" ? sha256(content.bytes) : [content.segment, content.offset];
  return ["file", isExecutable(entry), entry.size, identity];
}

const isExecutable = (entry: FileEntry) => (entry.mode & 0o111) !== 0;

async function extract(root: string, closure: readonly ToolPath[], read: ToolRootOptions["read"]): Promise<void> {
  const folders = new Set(closure.map(({ path }) => dirname(path)));
  await mkdir(root, { recursive: true });
  for (const folder of [...folders].sort(compareBytes)) await mkdir(join(root, folder), { recursive: true });
  for (const { path, entry } of closure) {
    if (entry.kind === "symlink") await symlink(entry.target, join(root, path));
    else
      await writeFile(join(root, path), await read(entry), { mode: isExecutable(entry) ? 0o755 : 0o644, flag: "wx" });
  }
}

/** Sizes betray what a lost power supply leaves of files that were never synced. */
async function isWhole(root: string, closure: readonly ToolPath[]): Promise<boolean> {
  const checks = closure.map(async ({ path, entry }) => {
    const place = join(root, path);
    if (entry.kind === "symlink") return (await readlink(place)) === entry.target;
    const stat = await lstat(place);
    return stat.isFile() && stat.size === entry.size;
  });
  return (await Promise.allSettled(checks)).every((check) => check.status === "fulfilled" && check.value);
}

/** Another process may put the same root there at the same moment: whoever comes second keeps the first's. */
async function replaceDirectory(aside: string, directory: string, isGood: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await rename(aside, directory);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    }
    if (await isGood()) return;
    // The damaged one goes away under a name of its own, so that nobody sees it half removed.
    const damaged = `${aside}-damaged`;
    await rename(directory, damaged).catch(() => {});
    await rm(damaged, { recursive: true, force: true });
  }
  throw failure("tool-root-busy", `${directory}: cannot be replaced`, { hint: "remove it and run again" });
}
