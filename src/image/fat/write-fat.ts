import { assert, failure } from "../../base/error.ts";
import { sortedBy } from "../../base/order.ts";
import type { ContentSource } from "../../store/file-tree.ts";
import { type DiskRange, type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
import { place } from "../placement.ts";
import { roomToGrow } from "../room-to-grow.ts";
import { type SparseBlocks, sparseBlocks } from "../sparse-blocks.ts";
import { bootSectors, fatLabel, fixedMedia } from "./boot-sectors.ts";
import { directoryEntryBytes, dotEntries, encodeDirectory, entryCount } from "./directory.ts";
import { clusterBytes, fatGeometry, firstCluster, type Geometry } from "./geometry.ts";
import { type FatName, fatNames } from "./names.ts";

export interface FatFile {
  /** Absolute: "/EFI/BOOT/BOOTX64.EFI". Directories follow from it. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly content: ContentSource;
}

export interface FatOptions {
  /** Bytes, a multiple of 512, at least 264 MiB. */
  readonly size: number;
  /** At most 11 upper-case characters. */
  readonly label: string;
  /** 32-bit serial number. */
  readonly volumeId: number;
  /** Sectors of 512 bytes before the partition on its disk. */
  readonly hiddenSectors: number;
}

/**
 * A FAT32 file system (Microsoft FAT specification, 2005; UEFI specification, section 13.3) with the files, as
 * extents. Each file lies in one piece at a place drawn from its path, on a 4 KiB boundary, so that contents in
 * segments are only pointed to, and that changing one file leaves the others alone. Every time is 1 January
 * 1980; the order of `files` means nothing.
 *
 * @throws MesoError for sizes, labels and names that FAT32 cannot hold, or `no-room`.
 */
export function writeFat(files: readonly FatFile[], options: FatOptions): DiskRecipe {
  const geometry = fatGeometry(options.size);
  const label = fatLabel(options.label);
  const nodes = [...treeOf(files).values()];
  const used = placeNodes(nodes, geometry);
  const metadata = sparseBlocks();
  const root = nodes[0]!;
  assert(root.path === "/", "the root comes first");
  const { hiddenSectors, volumeId } = options;
  const freeClusters = geometry.clusters - used;
  metadata.put(0, bootSectors({ geometry, label, volumeId, hiddenSectors, rootCluster: root.cluster, freeClusters }));
  writeTables(nodes, geometry, metadata);
  for (const node of nodes) {
    if (!node.file) metadata.put(geometry.clusterStart(node.cluster), directoryContents(node, root, label));
  }
  const contents = nodes.flatMap((node) => fileExtents(node, geometry));
  return diskRecipe(options.size, [...metadata.extents(), ...contents], roomForFiles(nodes, geometry));
}

/** All clusters but those of directories, in which zeros are the end mark. */
function roomForFiles(nodes: readonly Node[], { clusters, clusterStart }: Geometry): DiskRange[] {
  const room: DiskRange[] = [];
  let from = firstCluster;
  const until = (cluster: number): void => {
    if (cluster > from) room.push({ start: clusterStart(from), length: clusterStart(cluster) - clusterStart(from) });
  };
  for (const directory of nodes.filter(({ file }) => !file).sort((a, b) => a.cluster - b.cluster)) {
    until(directory.cluster);
    from = directory.cluster + directory.clusters;
  }
  until(firstCluster + clusters);
  return room;
}

/** A file, or a directory with its children sorted by name. */
interface Node {
  readonly path: string;
  readonly parent: Node | undefined;
  readonly file?: FatFile;
  readonly children: Map<string, Node>;
  names: readonly FatName[];
  clusters: number;
  cluster: number;
}

/** Every file and directory by path, each directory before what it holds. */
function treeOf(files: readonly FatFile[]): Map<string, Node> {
  const nodes = new Map<string, Node>();
  nodes.set("/", newNode("/", undefined));
  for (const file of sortedBy(files, (each) => each.path)) {
    const parts = file.path.split("/");
    const isAbsolute = parts.shift() === "" && parts.every((part) => part !== "" && part !== "." && part !== "..");
    if (!isAbsolute || nodes.has(file.path)) throw badPath(file.path);
    checkSize(file);
    let parent = nodes.get("/")!;
    for (const [i, part] of parts.entries()) {
      if (parent.file) throw badPath(file.path);
      const path = `/${parts.slice(0, i + 1).join("/")}`;
      const node = nodes.get(path) ?? newNode(path, parent, i === parts.length - 1 ? file : undefined);
      nodes.set(path, node);
      parent.children.set(part, node);
      parent = node;
    }
  }
  for (const node of nodes.values()) measure(node);
  return nodes;
}

function newNode(path: string, parent: Node | undefined, file?: FatFile): Node {
  return { path, parent, ...(file && { file }), children: new Map(), names: [], clusters: 0, cluster: 0 };
}

function badPath(path: string): Error {
  return failure("bad-path", `${JSON.stringify(path)} is no path of a FAT file system, or is there twice`, {
    expected: "an absolute path without empty parts, below directories only",
  });
}

function checkSize({ path, size, content }: FatFile): void {
  if (size > 0xffff_ffff) {
    throw failure("too-large", `${path} has ${size} bytes`, { expected: "less than 4 GiB: FAT32 holds no more" });
  }
  if (content.kind === "bytes") assert(content.bytes.length === size, `${path} has another size than its bytes`);
  else assert(content.offset % clusterBytes === 0, `${path} is not aligned in its segment`);
}

function measure(node: Node): void {
  const names = [...node.children.keys()];
  node.names = fatNames(names, node.path);
  // The root has the label for its two dots, and every directory an end mark.
  const entries = node.names.reduce((sum, name) => sum + entryCount(name), 3);
  node.clusters = Math.ceil((node.file ? node.file.size : entries * directoryEntryBytes) / clusterBytes);
  if (!node.file && entries > mostEntries) {
    throw failure("too-large", `${node.path} has ${names.length} entries`, { expected: "fewer in one directory" });
  }
}

/** A directory may have 65536 entries of 32 bytes (section 6). */
const mostEntries = 65536;

/** Gives each node its first cluster; returns how many clusters are in use. */
function placeNodes(nodes: readonly Node[], geometry: Geometry): number {
  const placed = nodes.filter((node) => node.clusters > 0);
  const items = placed.map((node) => ({ key: node.path, units: roomToGrow(node.clusters) }));
  const clusters = place(items, { start: firstCluster, length: geometry.clusters });
  for (const node of placed) node.cluster = clusters.get(node.path)!;
  return placed.reduce((sum, node) => sum + node.clusters, 0);
}

const endOfChain = 0x0fff_ffff;

/** Both copies of the table: each cluster names the next of its file (section 4). */
function writeTables(nodes: readonly Node[], geometry: Geometry, metadata: SparseBlocks): void {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x0fff_ff00 | fixedMedia, 0);
  head.writeUInt32LE(endOfChain, 4);
  for (const copy of [0, 1] as const) {
    const start = geometry.tableStart(copy);
    metadata.put(start, head);
    for (const { cluster, clusters } of nodes) {
      if (clusters > 0) metadata.put(start + cluster * 4, chain(cluster, clusters));
    }
  }
}

function chain(first: number, length: number): Buffer {
  const entries = Buffer.alloc(length * 4);
  for (let i = 0; i < length; i++) entries.writeUInt32LE(i === length - 1 ? endOfChain : first + i + 1, i * 4);
  return entries;
}

function directoryContents(node: Node, root: Node, label: Buffer): Buffer {
  const below = [...node.children.values()].map((child, i) => ({
    name: node.names[i]!,
    isDirectory: !child.file,
    cluster: child.cluster,
    size: child.file?.size ?? 0,
  }));
  if (!node.parent) return encodeDirectory(below, label);
  return encodeDirectory([...dotEntries(node.cluster, node.parent === root ? 0 : node.parent.cluster), ...below]);
}

function fileExtents({ file, cluster, clusters }: Node, geometry: Geometry): Extent[] {
  if (!file || clusters === 0) return [];
  // Segments are padded with zeros to 4 KiB.
  const length = file.content.kind === "segment" ? clusters * clusterBytes : file.size;
  return [{ start: geometry.clusterStart(cluster), length, source: file.content }];
}
