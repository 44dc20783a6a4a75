import { assert, failure } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { DirectoryEntry, FileTree, HardLinkEntry, TreeEntry } from "../../store/file-tree.ts";
import { type DirectoryPlan, entryTypeOf, type NamedEntry, planDirectory } from "./directory.ts";
import { type AttributePlan, planAttributes } from "./extended-attributes.ts";
import { blockBytes } from "./geometry.ts";

/** What becomes one inode: an entry of the tree, with what is found out about it on the way to the disk. */
export interface Node {
  readonly path: string;
  readonly entry: Exclude<TreeEntry, HardLinkEntry>;
  /** The directory it lies in; the root lies in itself. */
  readonly parent: Node;
  /** What lies in it, sorted by name: of directories only. */
  readonly entries: NodeEntry[];
  readonly attributes: AttributePlan | undefined;
  /** Blocks of contents: of a directory, a file, or a link's target too long for the inode. */
  blocks: number;
  links: number;
  /** Of directories only. */
  directory: DirectoryPlan<NodeEntry> | undefined;
  inode: number;
  /** First block of the contents. */
  start: number;
  /** Whether the contents lie within the place of their segment. */
  inSegment: boolean;
  extentLeaves: readonly number[];
  /** 0 when there is none. */
  attributeBlock: number;
}

export interface NodeEntry extends NamedEntry {
  readonly node: Node;
}

/** A link's target of fewer bytes is kept in the inode ("Symbolic Links"). */
const inlineTargetBytes = 60;

/**
 * The nodes of a tree sorted by path, with links counted and directories planned.
 *
 * @param extra A directory that is added if the tree has nothing at its path.
 * @throws MesoError `name-too-long`, `link-target`, `too-many-links`, `file-too-large`, `xattr-name`, `xattr-size`.
 */
export function nodesOf(
  tree: FileTree,
  extra: { readonly path: string; readonly entry: DirectoryEntry },
  hashSeed: readonly number[],
): Node[] {
  const entryAt = (path: string) => tree.get(path) ?? extra.entry;
  const extraPaths = tree.has(extra.path) ? [] : [extra.path];
  // The second sort finds nearly all in order: the first, native and quick, differs from it only above U+D7FF.
  const paths = [...tree.keys(), ...extraPaths].sort().sort(compareBytes);
  const nodes = new Map<string, Node>();
  for (const path of paths) {
    const entry = entryAt(path);
    if (entry.kind !== "hardlink") nodes.set(path, newNode(path, entry, nodes));
  }
  for (const path of paths) {
    if (path === "/") continue;
    const node = nodes.get(path) ?? linkedFile(path, entryAt(path), nodes);
    const name = nameIn(path);
    const parent = nodes.has(path) ? node.parent : parentOf(path, nodes);
    const nameBytes = Buffer.byteLength(name);
    if (nameBytes > mostNameBytes) {
      throw failure("name-too-long", `the name of ${path} has ${nameBytes} bytes`, {
        expected: `at most ${mostNameBytes} bytes`,
      });
    }
    parent.entries.push({ name, nameBytes, type: entryTypeOf[node.entry.kind], node });
    if (node.entry.kind === "directory") parent.links++;
  }
  const list = [...nodes.values()];
  for (const node of list) {
    if (node.entry.kind === "directory") {
      node.directory = planDirectory(node.entries, hashSeed);
      node.blocks = node.directory.blocks;
    }
    settleLinks(node);
  }
  return list;
}

/** `EXT4_LINK_MAX`. */
const mostLinks = 65000;
const mostNameBytes = 255;

function newNode(path: string, entry: Node["entry"], nodes: ReadonlyMap<string, Node>): Node {
  const isDirectory = entry.kind === "directory";
  const node: Omit<Node, "parent"> & { parent: Node | undefined } = {
    path,
    entry,
    parent: path === "/" ? undefined : parentOf(path, nodes),
    entries: isDirectory ? [] : none,
    attributes: planAttributes(path, entry.xattrs),
    blocks: contentBlocks(path, entry),
    links: isDirectory ? 2 : 1,
    directory: undefined,
    inode: 0,
    start: 0,
    inSegment: false,
    extentLeaves: none,
    attributeBlock: 0,
  };
  node.parent ??= node as Node;
  return node as Node;
}

const none: never[] = [];

function linkedFile(path: string, entry: TreeEntry, nodes: ReadonlyMap<string, Node>): Node {
  assert(entry.kind === "hardlink", "what is no node is a hard link");
  const file = nodes.get(entry.target);
  if (file?.entry.kind === "file") {
    file.links++;
    return file;
  }
  throw failure("link-target", `the hard link ${path} points at ${entry.target}, which is no regular file`, {
    expected: "the absolute path of a regular file in the same tree",
  });
}

function parentOf(path: string, nodes: ReadonlyMap<string, Node>): Node {
  const slash = path.lastIndexOf("/");
  const parent = nodes.get(slash === 0 ? "/" : path.slice(0, slash));
  if (parent?.entry.kind === "directory") return parent;
  throw new Error(`${path} has no parent directory in the tree`);
}

function nameIn(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name !== "" && name !== "." && name !== "..") return name;
  throw new Error(`${path} is not a normalised absolute path`);
}

function contentBlocks(path: string, entry: Node["entry"]): number {
  if (entry.kind === "file") {
    const { content, size } = entry;
    if (content.kind === "bytes") assert(content.bytes.length === size, `${path} has ${size} bytes and other contents`);
    if (size < 0 || !Number.isSafeInteger(size) || size > mostFileBytes) {
      throw failure("file-too-large", `${path} has ${size} bytes`, { expected: `at most ${mostFileBytes} bytes` });
    }
    return Math.ceil(size / blockBytes);
  }
  if (entry.kind === "directory") return 0;
  const bytes = Buffer.byteLength(entry.target);
  if (bytes === 0 || bytes >= blockBytes) {
    throw failure("link-target", `the target of the link ${path} has ${bytes} bytes`, {
      expected: `1 to ${blockBytes - 1} bytes`,
    });
  }
  return bytes < inlineTargetBytes ? 0 : 1;
}

/** What two levels of extents of 32768 blocks reach. */
const mostFileBytes = 4 * 340 * 32768 * blockBytes;

/** A directory with too many subdirectories says 1: not counted (`dir_nlink`). */
function settleLinks(node: Node): void {
  if (node.links <= mostLinks) return;
  if (node.entry.kind !== "directory") {
    throw failure("too-many-links", `${node.path} has ${node.links} names`, { expected: `at most ${mostLinks}` });
  }
  node.links = 1;
}
