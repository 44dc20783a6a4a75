import { mkdirSync, rmSync } from "node:fs";
import { join, posix } from "node:path";
import { MesoError } from "../base/error.ts";
import { hashOf, sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { extractTree } from "../store/extract-tree.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import { readContent } from "../store/read-content.ts";
import { runInSandbox } from "../store/sandbox.ts";
import { toolRoot } from "../store/tool-root.ts";
import type { Judge } from "../system/hooks/judge-configuration.ts";
import type { ManifestConfigurationCheck } from "../system/manifest.ts";
import type { BuildSession } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

/**
 * Lets programs of a system judge what it configures them with: each in a sandbox that holds the program, what it loads
 * and the configuration, all from the system's own tree. What passed once is remembered by the digest of it all.
 */
export function configurationJudge(session: BuildSession): Judge {
  return async (check, tree) => {
    const seen = visibleTree(check, tree);
    const name = `configuration ${sourceDigest()} ${hashOf(identityOf(check, seen, tree))}`;
    if (session.store.recall(name) !== undefined) return undefined;
    const said = await judgeNow(session, check, seen, tree);
    if (said === undefined) session.store.remember(name, true);
    return said;
  };
}

/** Accounts, and the names of ports and protocols, which programs of all kinds look up. */
const alwaysVisible = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols"];

async function judgeNow(
  session: BuildSession,
  check: ManifestConfigurationCheck,
  seen: FileTree,
  tree: FileTree,
): Promise<string | undefined> {
  const { store, signal } = session;
  session.report({ stage: "compose", text: check.name });
  const read = (entry: FileEntry): Uint8Array => readContent(store, entry.content, entry.size);
  const cacheDirectory = join(store.directory, "cache", "tools");
  const programs = check.command.slice(0, 1);
  const { directory: root } = await toolRoot({
    tree,
    binaries: programs,
    extraPaths: loaded(check),
    read,
    cacheDirectory,
  });
  const work = store.scratchPath(
    [...seen.values()].reduce((sum, one) => sum + (one.kind === "file" ? one.size : 0), 0),
  );
  try {
    extractTree(store, seen, work);
    for (const folder of ["/run", ...check.folders]) mkdirSync(join(work, folder), { recursive: true });
    const top = [...new Set([...seen.keys(), "/run", ...check.folders].map((path) => path.split("/")[1]!))];
    await runInSandbox({
      root,
      binds: top.filter(Boolean).map((name) => ({ from: join(work, name), to: `/${name}`, writable: true })),
      command: check.command,
      timeoutSeconds: 120,
      signal,
      asRoot: check.asRoot,
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof MesoError) || error.code !== "build-failed") throw error;
    return error.message.split("\n").slice(1).join("\n");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Below the folders of programs and libraries nothing can be bound: what is read there comes with the program. */
const isBesidePrograms = (path: string): boolean => /^\/(usr|bin|sbin|lib\d*)(\/|$)/.test(path);

function loaded({ loads, reads }: ManifestConfigurationCheck): readonly string[] {
  return [...loads, ...reads.filter(isBesidePrograms)];
}

/** As Linux limits it (path_resolution(7)). */
const mostLinks = 40;

/** What the program sees beside itself, complete with parent folders, and with what links of it lead to. */
function visibleTree({ command, reads, loads }: ManifestConfigurationCheck, tree: FileTree): FileTree {
  const wanted = [...alwaysVisible, ...reads.filter((path) => !isBesidePrograms(path))];
  const part = new Map<string, TreeEntry>();
  const add = (path: string): void => {
    const entry = tree.get(path);
    if (!entry || part.has(path) || isBesidePrograms(path)) return;
    part.set(path, entry);
    if (path !== "/") add(posix.dirname(path));
    if (entry.kind === "symlink") add(posix.resolve(posix.dirname(path), entry.target));
  };
  add("/");
  for (const path of wanted) add(path);
  // A program may be an alternative: /usr/sbin/squid leads through /etc.
  for (let path of [...command.slice(0, 1), ...loads]) {
    for (let entry = tree.get(path), links = 0; entry?.kind === "symlink" && links < mostLinks; links++) {
      path = posix.resolve(posix.dirname(path), entry.target);
      add(path);
      entry = tree.get(path);
    }
  }
  const folders = wanted.filter((path) => tree.get(path)?.kind === "directory").map((path) => `${path}/`);
  if (folders.length === 0) return part;
  for (const path of tree.keys()) {
    if (folders.some((folder) => path.startsWith(folder))) add(path);
  }
  return part;
}

function identityOf(check: ManifestConfigurationCheck, seen: FileTree, tree: FileTree): object {
  const { origin: _, name: __, ...asked } = check;
  const described = (part: Iterable<readonly [string, TreeEntry]>): string =>
    sha256(JSON.stringify(sortedBy(part, ([path]) => path).map(([path, entry]) => [path, contentIdentity(entry)])));
  // Linked libraries come from the same closed set of packages and decide no verdict: they are left out.
  const beside = [...check.command.slice(0, 1), ...loaded(check)];
  const folders = beside.filter((path) => tree.get(path)?.kind === "directory").map((path) => `${path}/`);
  const below = folders.length === 0 ? [] : [...tree].filter(([path]) => folders.some((one) => path.startsWith(one)));
  const named = beside.flatMap((path): [string, TreeEntry][] => (tree.has(path) ? [[path, tree.get(path)!]] : []));
  return { version: 2, asked, beside: described([...named, ...below]), inputs: described(seen) };
}

function contentIdentity(entry: TreeEntry): unknown {
  if (entry.kind === "directory") return entry.mode;
  if (entry.kind !== "file") return [entry.kind, entry.target];
  const { content } = entry;
  return content.kind === "bytes" ? sha256(content.bytes) : [content.segment, content.offset, entry.size];
}
