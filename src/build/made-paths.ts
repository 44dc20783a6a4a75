import { compareBytes, sortedBy } from "../base/order.ts";
import type { TreeEntry } from "../store/file-tree.ts";
import type { SegmentTable } from "../store/segment.ts";
import { mergedPath } from "../system/merge-packages.ts";
import type { RealisedSystem } from "./compose.ts";
import type { PreparedSystem } from "./prepare.ts";
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
 * `madePaths` holds what scripts, diversions, services and hooks then make of them.
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
    const { entries, records = [] } = tableOf(sha256);
    for (const entry of [...entries, ...records]) {
      const path = mergedPath(entry.path);
      const before = shipped.get(path);
      if (before !== undefined && (before.kind !== "directory" || entry.kind === "directory")) continue;
      const target =
        entry.kind === "symlink" ? entry.target : entry.kind === "hardlink" ? mergedPath(entry.target) : undefined;
      shipped.set(path, { kind: entry.kind, ...(target !== undefined && { target }), origin: name });
    }
  }
  return shipped;
}

/** What of a composed system cannot be told from the tables of its packages; sorted by path. */
export function madePaths(system: RealisedSystem): MadePath[] {
  const shipped = shippedPaths(system.prepared.packages, (sha256) => system.segments.get(sha256)!);
  const made: MadePath[] = [];
  for (const [path, entry] of system.tree) {
    const target = "target" in entry ? entry.target : undefined;
    const plain = shipped.get(path);
    shipped.delete(path);
    if (plain?.kind === entry.kind && plain.origin === entry.origin && plain.target === target) continue;
    made.push({ path, kind: entry.kind, ...(target !== undefined && { target }), origin: entry.origin });
  }
  for (const path of shipped.keys()) made.push({ path, kind: "absent", origin: "" });
  return sortedBy(made, ({ path }) => path);
}

/** Keeps what composing told, for descriptions of images that are taken from the store later. */
export function rememberMadePaths(session: BuildSession, system: RealisedSystem): void {
  session.store.remember(keyOf(system.prepared), madePaths(system));
}

/** Undefined when the system was not composed by this version of the program. */
export function rememberedMadePaths(session: BuildSession, prepared: PreparedSystem): readonly MadePath[] | undefined {
  return session.store.recall(keyOf(prepared)) as readonly MadePath[] | undefined;
}

function keyOf({ systemHash }: PreparedSystem): string {
  return `made-paths ${sourceDigest()} ${systemHash}`;
}
