import { assert, failure } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { DirectoryEntry, FileEntry, FileTree, SymlinkEntry } from "../../store/file-tree.ts";
import { cutDirectory, type DirectoryBlock, directoryBytes, type NamedEntry } from "./directory.ts";
import { compactInodeBytes, extendedInodeBytes, fileTypes, longestName, noBlock } from "./format.ts";
import { largestSlotBytes } from "./layout.ts";
import { encodeXattrs } from "./xattrs.ts";

/** An inode as measured from the tree; `nid` and `block` are filled in by placement. */
export interface Inode {
  readonly path: string;
  readonly entry: FileEntry | DirectoryEntry | SymlinkEntry;
  readonly names: NamedEntry[];
  links: number;
  xattrs: Buffer;
  extended: boolean;
  /** Bytes of the inode with its xattrs. */
  headBytes: number;
  /** `i_size` in bytes. */
  size: number;
  /** Contents follow the head in the same block. */
  inline: boolean;
  /** How a directory's names are cut into blocks. */
  cuts: readonly DirectoryBlock[];
  nid: number;
  block: number;
}

/**
 * Every inode of the tree by path, hard links counted on their target, directories sorted and cut, sizes known.
 *
 * @throws MesoError `bad-name`, `bad-symlink`, `bad-hardlink`, `bad-xattr` for what EROFS cannot hold.
 */
export function inodeTable(tree: FileTree, epoch: number): Map<string, Inode> {
  const inodes = new Map<string, Inode>();
  for (const [path, entry] of tree) {
    if (entry.kind !== "hardlink") inodes.set(path, unmeasured(path, entry));
  }
  for (const [path, entry] of tree) {
    const inode = entry.kind === "hardlink" ? linkTarget(path, entry.target, inodes) : inodes.get(path)!;
    if (path === "/") continue;
    const slash = path.lastIndexOf("/");
    addName(directoryAt(slash === 0 ? "/" : path.slice(0, slash), inodes, path), path.slice(slash + 1), inode);
  }
  const root = directoryAt("/", inodes, "/");
  root.names.push({ name: "..", nameBytes: 2, inode: root, fileType: fileTypes.directory.directoryEntry });
  for (const inode of inodes.values()) measure(inode, epoch);
  return inodes;
}

function unmeasured(path: string, entry: Inode["entry"]): Inode {
  const inode: Inode = {
    path,
    entry,
    names: entry.kind === "directory" ? [] : noNames,
    links: entry.kind === "directory" ? 2 : 1,
    xattrs: encodeXattrs(entry.xattrs, path),
    extended: true,
    headBytes: 0,
    size: 0,
    inline: false,
    cuts: [],
    nid: 0,
    block: noBlock,
  };
  if (entry.kind === "directory") {
    inode.names.push({ name: ".", nameBytes: 1, inode, fileType: fileTypes.directory.directoryEntry });
  }
  return inode;
}

/** Shared by everything that is no directory. */
const noNames: NamedEntry[] = [];

function addName(parent: Inode, name: string, inode: Inode): void {
  const nameBytes = Buffer.byteLength(name);
  if (nameBytes > longestName) {
    throw failure("bad-name", `${parent.path}: a name of ${nameBytes} bytes: ${name.slice(0, 40)}…`, {
      expected: `at most ${longestName} bytes`,
    });
  }
  const fileType = fileTypes[inode.entry.kind].directoryEntry;
  parent.names.push({ name, nameBytes, inode, fileType });
  if (inode.entry.kind === "directory") {
    inode.names.push({ name: "..", nameBytes: 2, inode: parent, fileType });
    parent.links++;
  }
}

function directoryAt(path: string, inodes: ReadonlyMap<string, Inode>, child: string): Inode {
  const parent = inodes.get(path);
  assert(parent?.entry.kind === "directory", `${child} has no parent directory in the tree`);
  return parent;
}

function linkTarget(path: string, target: string, inodes: ReadonlyMap<string, Inode>): Inode {
  const inode = inodes.get(target);
  if (inode?.entry.kind !== "file") {
    throw failure("bad-hardlink", `${path} is a hard link to ${target}, which is ${inode ? "no file" : "missing"}`, {
      expected: "the absolute path of a regular file in the same tree",
    });
  }
  inode.links++;
  return inode;
}

function measure(inode: Inode, epoch: number): void {
  const { entry } = inode;
  if (entry.kind === "directory") {
    inode.names.sort(inode.names.every(isAscii) ? byUnits : byBytes);
    inode.cuts = cutDirectory(inode.names);
    inode.size = directoryBytes(inode.cuts);
  } else if (entry.kind === "symlink") {
    inode.size = Buffer.byteLength(entry.target);
    if (inode.size === 0 || inode.size > longestTarget) {
      throw failure("bad-symlink", `${inode.path}: a link target of ${inode.size} bytes`, {
        expected: `1 to ${longestTarget} bytes`,
      });
    }
  } else {
    inode.size = entry.size;
  }
  inode.extended = !isCompact(inode, epoch);
  inode.headBytes = (inode.extended ? extendedInodeBytes : compactInodeBytes) + inode.xattrs.length;
  inode.inline = inode.size > 0 && !isInSegment(entry) && inode.headBytes + inode.size <= mostInline(inode);
}

function isAscii({ name, nameBytes }: NamedEntry): boolean {
  return name.length === nameBytes;
}

/** The engine's own comparison, many times faster than ours, and the same where names are ASCII. */
function byUnits(a: NamedEntry, b: NamedEntry): number {
  return a.name < b.name ? -1 : 1;
}

function byBytes(a: NamedEntry, b: NamedEntry): number {
  return compareBytes(a.name, b.name);
}

/** PATH_MAX without the final NUL. */
const longestTarget = 4095;

/** A compact inode has no time of its own and narrow fields. */
function isCompact({ entry, links, size }: Inode, epoch: number): boolean {
  return entry.mtime === epoch && entry.uid <= 0xffff && entry.gid <= 0xffff && links <= 0xffff && size <= 0xffff_ffff;
}

export function isInSegment(entry: Inode["entry"]): boolean {
  return entry.kind === "file" && entry.content.kind === "segment";
}

/**
 * Directories leave their inode earlier than files do: one that outgrows its slot gets another number, which
 * stands in each of its subdirectories.
 */
function mostInline({ entry, path }: Inode): number {
  return entry.kind === "directory" && path !== "/" ? largestSlotBytes / 2 : largestSlotBytes;
}
