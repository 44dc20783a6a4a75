import { posix } from "node:path";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import type { SegmentTable } from "../store/segment.ts";
import { type DraftTree, generatedLink } from "./draft-tree.ts";

/** A package built from source, in the store. */
export interface ComposedSource {
  readonly name: string;
  readonly version: string;
  /** Where its main output lies in the system: `/meso/store/…-pmix-5.0.7`. */
  readonly root: string;
  /** Names of the Debian packages whose place it takes. */
  readonly replaces: readonly string[];
  /** That output and all that it refers to: its place, and a segment of the paths below. */
  readonly items: readonly { readonly path: string; readonly segment: SegmentTable }[];
}

/**
 * Lays items out at their places in the store, and leads to them: where a Debian package that is replaced has a program,
 * a library or a header that the item has too, a link stands in its place; its other programs and libraries go, as they
 * would be of another version; what else it brings (units, configuration, documentation) stays. The programs of a package
 * that replaces none are linked into /usr/local.
 *
 * @returns the paths that were exchanged or removed, by Debian package.
 */
export function placeSources(
  tree: DraftTree,
  sources: readonly ComposedSource[],
  readFile: (entry: FileEntry) => Uint8Array,
): ReadonlyMap<string, ReadonlySet<string>> {
  const changed = new Map<string, Set<string>>();
  for (const source of sources) {
    const origin = `${source.name} ${source.version}, from source`;
    for (const item of source.items) placeItem(tree, item, origin);
    if (source.replaces.length === 0) linkPrograms(tree, source, origin);
    const before = new Map(tree);
    const oursAt = (path: string) => placesOf(path).find((place) => before.has(`${source.root}/${place}`));
    for (const [path, entry] of before) {
      if (!source.replaces.includes(entry.origin) || entry.kind === "directory") continue;
      const ours = oursAt(path);
      if (ours === undefined && !isBinary(before, entry, readFile)) {
        // Only the file's first name is exchanged.
        if (entry.kind === "hardlink" && oursAt(entry.target) !== undefined) tree.set(path, before.get(entry.target)!);
        continue;
      }
      if (ours === undefined) tree.delete(path);
      else tree.set(path, generatedLink(`${source.root}/${ours}`, { origin }));
      changed.set(entry.origin, (changed.get(entry.origin) ?? new Set()).add(path));
    }
  }
  removeDanglingLinks(tree, sources, changed);
  return changed;
}

function placeItem(tree: DraftTree, { path: root, segment }: ComposedSource["items"][number], origin: string): void {
  for (const entry of segment.entries) {
    const path = entry.path === "/" ? root : `${root}${entry.path}`;
    if (entry.kind === "file") {
      const { offset, ...rest } = entry;
      tree.set(path, { ...rest, origin, content: { kind: "segment", segment: segment.id, offset } });
    } else if (entry.kind === "hardlink") tree.set(path, { ...entry, target: `${root}${entry.target}`, origin });
    else tree.set(path, { ...entry, origin });
  }
}

function linkPrograms(tree: DraftTree, { root }: ComposedSource, origin: string): void {
  for (const [path, entry] of [...tree]) {
    const name = /^\/s?bin\/[^/]+$/.exec(path.startsWith(`${root}/`) ? path.slice(root.length) : "")?.[0];
    if (name !== undefined && entry.kind !== "directory")
      tree.set(`/usr/local${name}`, generatedLink(path, { origin }));
  }
}

/** Where a package with a prefix of its own has what Debian has at a path of merged /usr, the likeliest first. */
function placesOf(path: string): readonly string[] {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (/^\/usr\/(s?bin|games)\/[^/]+$/.test(path)) return [`bin/${name}`, `sbin/${name}`];
  const library = /^\/usr\/lib\/(?:[a-z0-9_]+-linux-gnu[a-z0-9_]*\/)?(.+)$/.exec(path)?.[1];
  if (library !== undefined) return [`lib/${library}`, ...(/\.so(\.|$)/.test(name) ? [`lib/${name}`] : [])];
  const other = /^\/usr\/((?:libexec|include)\/.+)$/.exec(path)?.[1];
  return other === undefined ? [] : [other];
}

/** What the processor runs: ELF files, and the links among them. Scripts may well serve another version. */
function isBinary(tree: FileTree, entry: TreeEntry, readFile: (entry: FileEntry) => Uint8Array): boolean {
  const file = entry.kind === "hardlink" ? tree.get(entry.target) : entry;
  if (file?.kind !== "file" || file.size < 4) return false;
  const [a, b, c, d] = readFile(file);
  return a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46;
}

/** `libpmix.so` → `libpmix.so.2` → `libpmix.so.2.13.4`, which has just gone; of whichever package that is replaced. */
function removeDanglingLinks(
  tree: DraftTree,
  sources: readonly ComposedSource[],
  changed: Map<string, Set<string>>,
): void {
  const replaced = new Set(sources.flatMap(({ replaces }) => replaces));
  const gone = new Set([...changed.values()].flatMap((paths) => [...paths].filter((path) => !tree.has(path))));
  for (let known = -1; known < gone.size; ) {
    known = gone.size;
    for (const [path, entry] of [...tree]) {
      if (entry.kind !== "symlink" || !replaced.has(entry.origin)) continue;
      if (!gone.has(posix.resolve(posix.dirname(path), entry.target))) continue;
      tree.delete(path);
      gone.add(path);
      changed.set(entry.origin, (changed.get(entry.origin) ?? new Set()).add(path));
    }
  }
}
