import type { ResolvedPackage } from "../debian/resolve.ts";
import type { FileTree } from "../store/file-tree.ts";
import { completeTree } from "../system/draft-tree.ts";
import {
  hardwareDatabase,
  journalCatalog,
  moduleDependencies,
  type RunTool,
  type ToolRun,
} from "../system/hooks/tool-caches.ts";
import { packagesTree } from "./packages-tree.ts";
import type { BuildSession } from "./session.ts";

/**
 * Work on some packages alone, for when they are in the store and others are still being imported. What it makes is
 * kept in the store, and found there by who needs it by the digest of its inputs; should they turn out to be others,
 * this was in vain. So whatever fails here is left for that one to tell.
 */
export interface WorkAhead {
  readonly packages: readonly ResolvedPackage[];
  readonly run: () => Promise<unknown>;
}

/** The tools of the profile hooks that take longest, and on one processor each, the longest first. */
export function toolsAhead(
  session: BuildSession,
  packages: readonly ResolvedPackage[],
  runTool: RunTool,
): readonly WorkAhead[] {
  const runAll = (some: readonly ResolvedPackage[], runsOf: (tree: FileTree) => readonly ToolRun[]): WorkAhead => ({
    packages: some,
    run: async () => {
      const tree = new Map(packagesTree(session, some));
      completeTree(tree);
      await Promise.all(runsOf(tree).map((run) => runTool(run, tree)));
    },
  });
  // With what kmod only loads when it meets a compressed module, and the links of a merged /usr.
  const forModules = closure(packages, ["kmod", "base-files", "liblzma5", "libzstd1", "zlib1g"]);
  const kernels = packages.filter(({ name }) => name.startsWith("linux-image-"));
  return [
    runAll([...kernels, ...forModules], moduleDependencies),
    runAll(closure(packages, ["base-files", "systemd", "udev"]), (tree) => [
      ...hardwareDatabase(tree),
      ...journalCatalog(tree),
    ]),
  ];
}

/** Those packages of a closed set that have these names, and what they depend on. */
function closure(packages: readonly ResolvedPackage[], names: readonly string[]): readonly ResolvedPackage[] {
  const byName = new Map(packages.map((one) => [one.name, one]));
  const wanted = new Set<string>();
  const queue = [...names];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const found = byName.get(name);
    if (!found || wanted.has(name)) continue;
    wanted.add(name);
    queue.push(...found.depends);
  }
  return packages.filter(({ name }) => wanted.has(name));
}
