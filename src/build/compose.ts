import { hashOf } from "../base/hash.ts";
import type { FileEntry, FileTree } from "../store/file-tree.ts";
import { readContent } from "../store/read-content.ts";
import type { SegmentTable } from "../store/segment.ts";
import { accountNumber } from "../system/account-numbers.ts";
import { type ComposedSystem, composeSystem } from "../system/compose.ts";
import type { Remember } from "../system/hooks/remember.ts";
import type { ResolvedSource } from "../system/manifest-hash.ts";
import type { ComposedSource } from "../system/place-sources.ts";
import { fetchSegments } from "./fetch-archives.ts";
import { hostArchitecture } from "./host-architecture.ts";
import { configurationJudge } from "./judge-configuration.ts";
import { composedPackage, packagesTree } from "./packages-tree.ts";
import { allPackages, type ResolvedSystem } from "./prepare.ts";
import { toolRunner } from "./run-tool.ts";
import { type BuildSession, stage } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";
import { toolsAhead, type WorkAhead } from "./work-ahead.ts";

/** A system whose packages are all in the store, and whose root file system is composed. */
export interface RealisedSystem extends ComposedSystem {
  readonly prepared: ResolvedSystem;
  /** Files of the packages that the boot path needs beside the root file system. */
  readonly bootTree: FileTree;
  /** Programs for this host that the boot path is made with. */
  readonly toolTree: FileTree;
  /** Tables of every segment that may be pointed to, by id. */
  readonly segments: ReadonlyMap<string, SegmentTable>;
  readonly readFile: (entry: FileEntry) => Uint8Array;
}

/**
 * Fetches and imports what is missing, then composes the tree of the root file system.
 *
 * @param ahead more work for another processor, beside the tools of the profile hooks.
 */
export async function realiseSystem(
  session: BuildSession,
  prepared: ResolvedSystem,
  ahead: readonly WorkAhead[] = [],
): Promise<RealisedSystem> {
  const { packages, bootPackages, toolPackages, unpackPackages, manifest } = prepared;
  const isForeign = manifest.architecture !== hostArchitecture();
  const runTool = toolRunner(session);
  const begun: Promise<unknown>[] = [];
  const segments = await fetchSegments(session, allPackages(prepared), {
    unpackPackages,
    first: [...(isForeign ? [] : toolsAhead(session, packages, runTool)), ...ahead].map(({ packages, run }) => ({
      packages,
      done: () => void begun.push(run().catch(() => undefined)),
    })),
  });
  const tableOf = (sha256: string): SegmentTable => segments.get(sha256)!;
  const readFile = (entry: FileEntry): Uint8Array => readContent(session.store, entry.content, entry.size);
  const bootTree = packagesTree(session, bootPackages, tableOf);
  const toolTree = packagesTree(session, toolPackages, tableOf);
  const sources = await builtSources(session, prepared.sources);
  const composed = await stage(
    session,
    "compose",
    () =>
      composeSystem({
        manifest,
        packages: packages.map((one) => composedPackage(session, one, tableOf(one.sha256))),
        sources,
        readFile,
        remember: rememberer(session),
        // Programs of another architecture do not run here.
        ...(!isForeign && { judge: configurationJudge(session) }),
        runTool: isForeign ? toolRunner(session, toolTree) : runTool,
        numberOf: accountNumber,
      }),
    ({ tree }) => `${tree.size} paths from ${packages.length} packages and ${manifest.files.length} generated files`,
  );
  await Promise.all(begun);
  const all = new Map([
    ...segments,
    ...sources.flatMap(({ items }) => items.map(({ segment }) => [segment.id, segment] as const)),
  ]);
  return { ...composed, prepared, bootTree, toolTree, segments: all, readFile };
}

async function builtSources(
  session: BuildSession,
  sources: readonly ResolvedSource[],
): Promise<readonly ComposedSource[]> {
  if (sources.length === 0) return [];
  const { buildSources } = await import("./system-sources.ts");
  return buildSources(session, sources);
}

function rememberer({ store }: BuildSession): Remember {
  return async <T>(key: unknown, compute: () => T | Promise<T>): Promise<T> => {
    const name = `compose ${sourceDigest()} ${hashOf(key)}`;
    const known = store.recall(name);
    if (known !== undefined) return known as T;
    const value = await compute();
    store.remember(name, value);
    return value;
  };
}
