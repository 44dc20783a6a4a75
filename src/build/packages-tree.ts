import type { FileTree } from "../store/file-tree.ts";
import type { DebianControl, DebianSegment, SegmentTable } from "../store/segment.ts";
import type { ResolvedArchive } from "../system/manifest-hash.ts";
import { type ComposedPackage, mergePackages } from "../system/merge-packages.ts";
import type { BuildSession } from "./session.ts";

/** A package with its segment, whose control part is read from the disk only by who needs it. */
export function composedPackage(
  session: BuildSession,
  { name, version, architecture, sha256 }: ResolvedArchive,
  table: SegmentTable,
): ComposedPackage {
  let control: DebianControl | undefined;
  const readControl = (): DebianControl => {
    control ??= session.store.readDebianControl(sha256);
    return control;
  };
  const segment: DebianSegment = {
    ...table,
    get control() {
      return readControl().control;
    },
    get controlFiles() {
      return readControl().controlFiles;
    },
  };
  return { name, version, architecture, segment };
}

/** Imported packages merged on one /usr, with nothing added: for taking single files and programs from. */
export function packagesTree(
  session: BuildSession,
  packages: readonly ResolvedArchive[],
  tableOf = (sha256: string): SegmentTable => session.store.readSegmentTable(sha256),
): FileTree {
  return mergePackages(
    packages.map((one) => composedPackage(session, one, tableOf(one.sha256))),
    [],
  ).tree;
}
