import { MesoError, type Problem } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";
import { parseRelations } from "../debian/relation.ts";
import { satisfiesConstraint } from "../debian/version.ts";
import type { TreeEntry } from "../store/file-tree.ts";
import type { DebianSegment, SegmentEntry } from "../store/segment.ts";
import { type DraftTree, generatedDirectory, generatedLink } from "./draft-tree.ts";

export interface ComposedPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly segment: DebianSegment;
}

export interface Diversion {
  /** As the archive names it. */
  readonly path: string;
  readonly to: string;
  /** The package whose own file keeps the path. */
  readonly by: string;
}

/** An entry of an archive whose owner is given by name, to be settled once accounts have numbers. */
export interface NamedOwner {
  readonly path: string;
  readonly user?: string;
  readonly group?: string;
}

export interface MergedPackages {
  readonly tree: DraftTree;
  readonly namedOwners: readonly NamedOwner[];
  /** Folders that packages ship with different modes or owners; the first named keeps its own. */
  readonly disagreements: readonly string[];
}

/**
 * All packages in one tree, on merged /usr: what lies under /bin, /sbin and /lib* moves below /usr and the
 * links stand in their place, as the UsrMerge specification has it and dpkg does when the links are there.
 *
 * @throws MesoError `path-conflict` for each path that two packages ship, unless one Replaces the other
 *   (Debian policy 7.6.1) or diverts the path.
 */
export function mergePackages(packages: readonly ComposedPackage[], diversions: readonly Diversion[]): MergedPackages {
  const tree: DraftTree = new Map();
  const namedOwners = new Map<string, NamedOwner>();
  const owners = new Map<string, ComposedPackage>();
  const problems: Problem[] = [];
  const disagreements: string[] = [];
  const diverted = new Map(diversions.map((diversion) => [diversion.path, diversion]));
  for (const debian of inOrder(packages)) {
    for (const entry of debian.segment.entries) {
      const diversion = diverted.size > 0 ? diverted.get(entry.path) : undefined;
      const literal = diversion && diversion.by !== debian.name ? diversion.to : entry.path;
      const path = mergedPath(literal);
      if (entry.kind === "directory" && isMergedFolder(literal)) continue;
      const before = tree.get(path);
      if (before !== undefined) {
        const other = owners.get(path)!;
        if (entry.kind === "directory" && before.kind === "directory") {
          if (before.mode !== entry.mode) {
            disagreements.push(
              `${path}: mode ${octal(before.mode)} in ${other.name}, ${octal(entry.mode)} in ${debian.name}`,
            );
          }
          continue;
        }
        if (entry.kind === "directory" && before.kind === "symlink") continue;
        if (before.kind === "directory" && entry.kind === "symlink") {
          // dpkg keeps a folder that is there when an archive has a link of its name.
          if (path !== "/lib64") continue;
        } else if (replaces(other, debian)) continue;
        else if (!replaces(debian, other) && !isSharedCopy(debian, other)) {
          problems.push(conflict(path, other, debian));
          continue;
        }
      }
      tree.set(path, toTreeEntry(entry, debian));
      owners.set(path, debian);
      if (entry.user !== undefined || entry.group !== undefined) {
        namedOwners.set(path, {
          path,
          ...(entry.user === undefined ? {} : { user: entry.user }),
          ...(entry.group === undefined ? {} : { group: entry.group }),
        });
      } else namedOwners.delete(path);
    }
  }
  if (problems.length > 0) throw new MesoError(problems);
  addMergeLinks(tree);
  followLinkedFolders(tree);
  return { tree, namedOwners: [...namedOwners.values()], disagreements };
}

const mergedFolders = /^\/(bin|sbin|lib|lib32|lib64|libx32|libo32)(?=\/|$)/;

/** A path as it is on merged /usr. */
export function mergedPath(path: string): string {
  return mergedFolders.test(path) && path.indexOf("/", 1) !== -1 ? `/usr${path}` : path;
}

function isMergedFolder(path: string): boolean {
  return mergedFolders.test(path) && path.indexOf("/", 1) === -1;
}

/** base-files decides about folders that many ship; then by name, so that the order of a list means nothing. */
function inOrder(packages: readonly ComposedPackage[]): ComposedPackage[] {
  const rank = (debian: ComposedPackage) => (debian.name === "base-files" ? 0 : 1);
  return [...packages].sort(
    (a, b) => rank(a) - rank(b) || compareBytes(a.name, b.name) || compareBytes(a.architecture, b.architecture),
  );
}

function toTreeEntry(entry: SegmentEntry, debian: ComposedPackage): TreeEntry {
  const attributes = {
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime,
    ...(entry.xattrs === undefined ? {} : { xattrs: entry.xattrs }),
    origin: debian.name,
  };
  if (entry.kind === "file") {
    const content = { kind: "segment", segment: debian.segment.id, offset: entry.offset } as const;
    return { kind: "file", ...attributes, size: entry.size, content };
  }
  if (entry.kind === "directory") return { kind: "directory", ...attributes };
  if (entry.kind === "symlink") return { kind: "symlink", ...attributes, target: entry.target };
  return { kind: "hardlink", ...attributes, target: mergedPath(entry.target) };
}

function replaces(debian: ComposedPackage, other: ComposedPackage): boolean {
  const field = debian.segment.control.Replaces;
  if (field === undefined) return false;
  return parseRelations(field).some((group) =>
    group.some(({ name, constraint }) => name === other.name && satisfiesConstraint(other.version, constraint)),
  );
}

/** The same version for two architectures (Multi-Arch: same) ships common files in each archive. */
function isSharedCopy(debian: ComposedPackage, other: ComposedPackage): boolean {
  return debian.name === other.name && debian.version === other.version;
}

function conflict(path: string, one: ComposedPackage, other: ComposedPackage): Problem {
  return {
    code: "path-conflict",
    what: `${path} is shipped by ${one.name} ${one.version} and by ${other.name} ${other.version}`,
    field: "packages",
    expected: "packages that do not overlap, or of which one says that it Replaces the other",
    hint: `leave out ${one.name} or ${other.name}`,
  };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function addMergeLinks(tree: DraftTree): void {
  const folders = new Set<string>();
  for (const path of tree.keys()) {
    const match = /^\/usr\/(lib32|lib64|libx32|libo32)\//.exec(path);
    if (match) folders.add(match[1]!);
  }
  // Bookworm's libc6 ships /lib64 itself; on merged /usr nobody is left who ships /usr/lib64.
  for (const name of folders) {
    if (!tree.has(`/usr/${name}`)) tree.set(`/usr/${name}`, generatedDirectory({ origin: "system" }));
  }
  for (const name of ["bin", "sbin", "lib", ...folders]) {
    if (tree.has(`/${name}`)) continue;
    tree.set(`/${name}`, generatedLink(`usr/${name}`, { origin: "system" }));
  }
}

/** What one package ships below a folder that is a link in another goes where the link leads. */
function followLinkedFolders(tree: DraftTree): void {
  const links = [...tree].filter(([, entry]) => entry.kind === "symlink").map(([path]) => path);
  const linked = new Set(links);
  for (const [path, entry] of [...tree]) {
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const parent = path.slice(0, cut);
      if (!linked.has(parent)) continue;
      const link = tree.get(parent);
      if (link?.kind !== "symlink") continue;
      const base = link.target.startsWith("/")
        ? link.target
        : normalise(`${parent.slice(0, parent.lastIndexOf("/"))}/${link.target}`);
      const moved = `${base}${path.slice(cut)}`;
      tree.delete(path);
      if (!tree.has(moved)) tree.set(moved, entry);
      break;
    }
  }
}

function normalise(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}
