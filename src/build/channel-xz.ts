import { join } from "node:path";
import { readContent } from "../store/read-content.ts";
import { runInSandbox, sandboxCommand } from "../store/sandbox.ts";
import { toolRoot } from "../store/tool-root.ts";
import type { ResolvedArchive } from "../system/manifest-hash.ts";
import { packagesTree } from "./packages-tree.ts";
import type { BuildSession } from "./session.ts";

/**
 * The command that expands xz streams with the channel's own xz, in the sandbox, to be spawned `detached`: since 5.8 it takes half the time of
 * those of older hosts. `packages`, which are in the store, bring it.
 *
 * @throws what `runInSandbox` throws, when sandboxes cannot be made here.
 */
export async function channelXz(
  session: BuildSession,
  packages: readonly ResolvedArchive[],
): Promise<readonly string[]> {
  const { store, signal } = session;
  const { directory: root } = await toolRoot({
    tree: packagesTree(session, packages),
    binaries: [program],
    read: ({ content, size }) => readContent(store, content, size),
    cacheDirectory: join(store.directory, "cache", "tools"),
  });
  // What keeps it from running is told here, where it cannot be taken for a damaged archive.
  await runInSandbox({ root, command: [program, "--version"], timeoutSeconds: 60, signal });
  return sandboxCommand({ root, command: [program, "-dc", "--no-sparse"], leadsSession: true });
}

const program = "/usr/bin/xz";
