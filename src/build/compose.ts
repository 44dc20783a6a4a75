import { hashOf } from "../base/hash.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import { readContent } from "../store/read-content.ts";
import type { DebianControl, DebianSegment, SegmentTable } from "../store/segment.ts";
import { accountNumber } from "../system/account-numbers.ts";
import { type ComposedSystem, composeSystem } from "../system/compose.ts";
import type { Remember } from "../system/hooks/remember.ts";
import { mergePackages } from "../system/merge-packages.ts";
import { packagesOfDepmod, runDepmodAhead } from "./depmod-ahead.ts";
import { fetchSegments } from "./fetch-archives.ts";
import { hostArchitecture, type PreparedSystem } from "./prepare.ts";
import { toolRunner } from "./run-tool.ts";
import { type BuildSession, stage } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

/** A system whose packages are all in the store. */
export interface ImportedSystem {
  readonly prepared: PreparedSystem;
  /** Files of the packages that the boot path needs beside the root file system. */
  readonly bootTree: FileTree;
  /** Programs for this host that the boot path is made with. */
  readonly toolTree: FileTree;
  /** Tables of every segment that may be pointed to, by id. */
  readonly segments: ReadonlyMap<string, SegmentTable>;
  readonly readFile: (entry: FileEntry) => Uint8Array;
}

/** A system whose root file system is composed. */
export interface RealisedSystem extends ImportedSystem, ComposedSystem {}

/**
 * Fetches and imports what is missing, then composes the tree of the root file system.
 *
 * @param meanwhile work for another processor, begun as soon as the packages are there. Its result is to be kept in
 *   the store, and its failure to be met again by who needs it.
 */
export async function realiseSystem(
  session: BuildSession,
  prepared: PreparedSystem,
  meanwhile?: (imported: ImportedSystem) => Promise<unknown>,
): Promise<RealisedSystem> {
  const { packages, bootPackages, toolPackages, manifest } = prepared;
  const isForeign = manifest.architecture !== hostArchitecture();
  const first = packagesOfDepmod(packages);
  let ahead: Promise<void> | undefined;
  const segments = await fetchSegments(session, [...packages, ...bootPackages, ...toolPackages], {
    packages: first,
    done: () => {
      if (isForeign) return;
      const tables = new Map(first.map(({ sha256 }) => [sha256, session.store.readSegmentTable(sha256)]));
      ahead = runDepmodAhead(plainTree(session, first, tables), toolRunner(session));
    },
  });
  const readFile = (entry: FileEntry): Uint8Array => readContent(session.store, entry.content, entry.size);
  const bootTree = plainTree(session, bootPackages, segments);
  const toolTree = plainTree(session, toolPackages, segments);
  const imported: ImportedSystem = { prepared, bootTree, toolTree, segments, readFile };
  const beside = meanwhile?.(imported).catch(() => undefined);
  const composed = await stage(
    session,
    "compose",
    () =>
      composeSystem({
        manifest,
        packages: packages.map((one) => composedPackage(session, one, segments)),
        readFile,
        remember: rememberer(session),
        runTool: toolRunner(session, isForeign ? toolTree : undefined),
        numberOf: accountNumber,
      }),
    ({ tree }) => `${tree.size} paths from ${packages.length} packages and ${manifest.files.length} generated files`,
  );
  await Promise.all([ahead, beside]);
  return { ...composed, ...imported };
}

function composedPackage(
  session: BuildSession,
  { name, version, architecture, sha256 }: ResolvedPackage,
  segments: ReadonlyMap<string, SegmentTable>,
) {
  // Read from the disk only by who needs it: what follows from scripts is remembered.
  let control: DebianControl | undefined;
  const readControl = (): DebianControl => {
    control ??= session.store.readDebianControl(sha256);
    return control;
  };
  const segment: DebianSegment = {
    ...segments.get(sha256)!,
    get control() {
      return readControl().control;
    },
    get controlFiles() {
      return readControl().controlFiles;
    },
  };
  return { name, version, architecture, segment };
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

/** Packages merged on one /usr, with nothing added: for taking single files and programs from. */
function plainTree(
  session: BuildSession,
  packages: readonly ResolvedPackage[],
  segments: ReadonlyMap<string, SegmentTable>,
): ReadonlyMap<string, TreeEntry> {
  return mergePackages(
    packages.map((one) => composedPackage(session, one, segments)),
    [],
  ).tree;
}
