import type { ResolvedPackage } from "../debian/resolve.ts";
import type { FileTree } from "../store/file-tree.ts";
import { completeTree } from "../system/draft-tree.ts";
import { moduleDependencies, type RunTool } from "../system/hooks/tool-caches.ts";

/**
 * The packages that module dependencies are made from and with: the kernels, kmod with what it needs and loads, and
 * the links of a merged /usr.
 */
export function packagesOfDepmod(packages: readonly ResolvedPackage[]): readonly ResolvedPackage[] {
  const byName = new Map(packages.map((one) => [one.name, one]));
  const wanted = new Set<string>();
  const queue = ["kmod", "base-files", "liblzma5", "libzstd1", "zlib1g"];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const found = byName.get(name);
    if (!found || wanted.has(name)) continue;
    wanted.add(name);
    queue.push(...found.depends);
  }
  const kernels = packages.filter(({ name }) => name.startsWith("linux-image-"));
  return [...new Set([...kernels, ...packages.filter(({ name }) => wanted.has(name))])];
}

/**
 * Runs depmod on these packages alone, while the others are still being imported: it is the longest of the tools, and
 * on one processor only. Composing finds the result by the digest of its inputs; should they turn out to be others,
 * it runs again, and this was in vain. So whatever fails here is left for composing to tell.
 */
export async function runDepmodAhead(mergedTree: FileTree, runTool: RunTool): Promise<void> {
  const tree = new Map(mergedTree);
  try {
    completeTree(tree);
    await Promise.all(moduleDependencies(tree).map((run) => runTool(run, tree)));
  } catch {
    // Told by composing, if it is still true then.
  }
}
