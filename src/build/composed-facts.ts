import { compareBytes, sortedBy } from "../base/order.ts";
import type { TreeEntry } from "../store/file-tree.ts";
import type { SegmentTable } from "../store/segment.ts";
import { realPath } from "../system/draft-tree.ts";
import { findUnit } from "../system/hooks/unit-files.ts";
import { shippedEntries } from "../system/merge-packages.ts";
import type { RealisedSystem } from "./compose.ts";
import type { ResolvedSystem } from "./prepare.ts";
import type { BuildSession } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

/** A path of a composed system that is not as its packages' archives have it. */
export interface MadePath {
  readonly path: string;
  /** `absent`: an archive has it, the system does not. */
  readonly kind: TreeEntry["kind"] | "absent";
  /** Of links. */
  readonly target?: string;
  /** A package, a service, or the step that made it: `ldconfig`. Empty for what is absent. */
  readonly origin: string;
}

/** A path as the archives of a set of packages have it. */
export interface ShippedPath {
  readonly kind: TreeEntry["kind"];
  readonly target?: string;
  /** Name of the package. */
  readonly origin: string;
}

interface Archive {
  readonly name: string;
  readonly architecture: string;
  readonly sha256: string;
}

/**
 * The paths of packages on merged /usr, by what their archives alone say: of two that ship one path, the first counts.
 * `composedFacts` tells what scripts, diversions, services and hooks then make of them.
 */
export function shippedPaths(
  packages: readonly Archive[],
  tableOf: (sha256: string) => SegmentTable,
): Map<string, ShippedPath> {
  const shipped = new Map<string, ShippedPath>();
  const ordered = [...packages].sort(
    (a, b) =>
      Number(b.name === "base-files") - Number(a.name === "base-files") ||
      compareBytes(a.name, b.name) ||
      compareBytes(a.architecture, b.architecture),
  );
  for (const { name, sha256 } of ordered) {
    const table = tableOf(sha256);
    const ship = (path: string, entry: ShippedPath): void => {
      const before = shipped.get(path);
      if (before === undefined || (before.kind === "directory" && entry.kind !== "directory")) shipped.set(path, entry);
    };
    for (const { mergedPath: path, treeEntry } of shippedEntries(name, table)) ship(path, treeEntry);
    for (const { path, kind } of table.records ?? []) ship(path, { kind, origin: name });
  }
  return shipped;
}

/** What only composing a system tells about it: kept for descriptions of images that are taken from the store later. */
export interface ComposedFacts {
  /** What cannot be told from the tables of its packages; sorted by path. */
  readonly madePaths: readonly MadePath[];
  /** By name of a unit that the system enables or checks: the package that ships it, where one does. */
  readonly unitPackages: Readonly<Record<string, string>>;
}

export function composedFacts(system: RealisedSystem): ComposedFacts {
  const shipped = shippedPaths(system.prepared.packages, (sha256) => system.segments.get(sha256)!);
  return { madePaths: madePaths(system, shipped), unitPackages: unitPackages(system, shipped) };
}

export function rememberComposedFacts(session: BuildSession, system: RealisedSystem): void {
  session.store.remember(keyOf(system.prepared), composedFacts(system));
}

/** Undefined when the system was not composed by this version of the program. */
export function recallComposedFacts(session: BuildSession, prepared: ResolvedSystem): ComposedFacts | undefined {
  return session.store.recall(keyOf(prepared)) as ComposedFacts | undefined;
}

function keyOf({ systemHash }: ResolvedSystem): string {
  return `composed facts ${sourceDigest()} ${systemHash}`;
}

function madePaths(system: RealisedSystem, shipped: ReadonlyMap<string, ShippedPath>): MadePath[] {
  const made: MadePath[] = [];
  for (const [path, entry] of system.tree) {
    const plain = shipped.get(path);
    if (plain === entry) continue;
    const target = "target" in entry ? entry.target : undefined;
    if (plain?.kind === entry.kind && plain.origin === entry.origin && plain.target === target) continue;
    made.push({ path, kind: entry.kind, ...(target !== undefined && { target }), origin: entry.origin });
  }
  for (const path of shipped.keys()) if (!system.tree.has(path)) made.push({ path, kind: "absent", origin: "" });
  return sortedBy(made, ({ path }) => path);
}

function unitPackages(
  { tree, prepared: { manifest } }: RealisedSystem,
  shipped: ReadonlyMap<string, ShippedPath>,
): Record<string, string> {
  const checked = manifest.checks.flatMap((check) => (check.kind === "unit-active" ? [check.unit] : []));
  const names = sortedBy(new Set([...manifest.enabledUnits, ...checked]), (name) => name);
  return Object.fromEntries(
    names.flatMap((name) => {
      const unit = findUnit(tree, name);
      const owner = unit && shipped.get(realPath(tree, unit.path))?.origin;
      return owner === undefined ? [] : [[name, owner]];
    }),
  );
}
