import { MesoError, type Problem } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";
import { parseRelations } from "../debian/relation.ts";
import { satisfiesConstraint } from "../debian/version.ts";
import type { SymlinkEntry, TreeEntry } from "../store/file-tree.ts";
import type { DebianSegment, SegmentEntry, SegmentTable } from "../store/segment.ts";
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
    for (const { entry, mergedPath: usualPath, isMergedFolder, treeEntry } of shippedEntries(
      debian.name,
      debian.segment,
    )) {
      const diversion = diverted.size > 0 ? diverted.get(entry.path) : undefined;
      const path = diversion && diversion.by !== debian.name ? mergedPath(diversion.to) : usualPath;
      if (isMergedFolder) continue;
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
      tree.set(path, treeEntry);
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

export interface ShippedEntry {
  readonly entry: SegmentEntry;
  readonly mergedPath: string;
  /** One of the folders that are links on merged /usr. */
  readonly isMergedFolder: boolean;
  readonly treeEntry: TreeEntry;
}

/** What an archive brings is the same in every system: systems that are composed one after the other share it. */
export function shippedEntries(name: string, { id, entries }: SegmentTable): readonly ShippedEntry[] {
  const known = shippedEntriesOf.get(entries);
  if (known) return known;
  const shipped = entries.map((entry) => ({
    entry,
    mergedPath: mergedPath(entry.path),
    isMergedFolder: entry.kind === "directory" && mergedFolders.test(entry.path) && entry.path.indexOf("/", 1) === -1,
    treeEntry: toTreeEntry(entry, name, id),
  }));
  shippedEntriesOf.set(entries, shipped);
  return shipped;
}

const shippedEntriesOf = new WeakMap<readonly SegmentEntry[], readonly ShippedEntry[]>();

/** base-files decides about folders that many ship; then by name, so that the order of a list means nothing. */
function inOrder(packages: readonly ComposedPackage[]): ComposedPackage[] {
  const rank = (debian: ComposedPackage) => (debian.name === "base-files" ? 0 : 1);
  return [...packages].sort(
    (a, b) => rank(a) - rank(b) || compareBytes(a.name, b.name) || compareBytes(a.architecture, b.architecture),
  );
}

function toTreeEntry(entry: SegmentEntry, origin: string, segment: string): TreeEntry {
  const attributes = {
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime,
    ...(entry.xattrs === undefined ? {} : { xattrs: entry.xattrs }),
    origin,
  };
  if (entry.kind === "file") {
    const content = { kind: "segment", segment, offset: entry.offset } as const;
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
  const linkAbove = linksAbove(tree);
  for (const path of [...tree.keys()]) {
    let link = linkAbove(path);
    // A link that has itself been moved away is none any more.
    while (link !== undefined && tree.get(link)?.kind !== "symlink") link = linkAbove(link);
    if (link === undefined) continue;
    const { target } = tree.get(link) as SymlinkEntry;
    const base = target.startsWith("/") ? target : normalise(`${link.slice(0, link.lastIndexOf("/"))}/${target}`);
    const moved = `${base}${path.slice(link.length)}`;
    const entry = tree.get(path)!;
    tree.delete(path);
    if (!tree.has(moved)) tree.set(moved, entry);
  }
}

/** The nearest folder above a path that is a link in the tree, as it is now. Thousands of paths share few folders. */
function linksAbove(tree: DraftTree): (path: string) => string | undefined {
  const links = new Set<string>();
  for (const [path, { kind }] of tree) if (kind === "symlink") links.add(path);
  const known = new Map<string, string | undefined>();
  const above = (path: string): string | undefined => {
    const cut = path.lastIndexOf("/");
    if (cut <= 0) return undefined;
    const folder = path.slice(0, cut);
    if (known.has(folder)) return known.get(folder);
    const found = links.has(folder) ? folder : above(folder);
    known.set(folder, found);
    return found;
  };
  return above;
}

function normalise(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}
