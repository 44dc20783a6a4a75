import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { sortedBy } from "../../base/order.ts";
import type { FileEntry, FileTree, TreeEntry } from "../../store/file-tree.ts";
import { changedBlocks, type SegmentData, writeRecipeFile } from "../../test-support/recipe-file.ts";
import { place } from "../placement.ts";
import { erofsDataRegion } from "./layout.ts";
import {
  attributes,
  directory,
  randomTree,
  type Sample,
  sampleTree,
  systemTree,
  text,
} from "./sample-trees.testing.ts";
import { writeErofs } from "./write-erofs.ts";

const scratch = mkdtempSync(join(tmpdir(), "erofs-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const gibibyte = 2 ** 30;
const isRoot = process.getuid?.() === 0;
const someUuid = "01234567-89ab-cdef-0123-456789abcdef";

test("fsck.erofs extracts what was written: kinds, modes, owners, times, links, contents", () => {
  const sample = sampleTree();
  const image = writeImage("sample", sample);
  const shown = execFileSync("dump.erofs", ["--path=/usr/bin/su", image], { encoding: "utf8" });
  const nid = Number(/NID: (\d+)/.exec(shown)![1]);
  assert.equal(readAt(image, nid * 32 + 4, 2).readUInt16LE(), 0o104755, "dump.erofs and extraction hide set-id bits");
  const inodes = [...sample.tree.values()].filter(({ kind }) => kind !== "hardlink").length;
  assert.match(
    execFileSync("dump.erofs", ["-s", image], { encoding: "utf8" }),
    new RegExp(`inode count: +${inodes}\n`),
  );
  compareTree(extract(image), sample, byExtraction);
});

test("the kernel reads what was written, xattrs included", {
  skip: !canMount() && "needs root and loop devices",
}, () => {
  const sample = sampleTree();
  const image = writeImage("mounted", sample);
  mounted(image, (mountPoint) => {
    compareTree(mountPoint, sample);
    for (const [path, { xattrs = {} }] of [...sample.tree].filter(([, { xattrs }]) => xattrs)) {
      const packed = paxArchive(mountPoint, path);
      for (const [name, value] of Object.entries(xattrs)) {
        const record = Buffer.concat([Buffer.from(` SCHILY.xattr.${name}=`), value, Buffer.from("\n")]);
        assert.ok(packed.includes(record), `${path}: ${name}`);
      }
      assert.equal(packed.toString("latin1").split("SCHILY.xattr.").length - 1, Object.keys(xattrs).length, path);
    }
  });
});

test("random trees survive fsck.erofs, and the kernel where it may be asked", () => {
  let run = 0;
  fc.assert(
    fc.property(randomTree(), (sample) => {
      const image = writeImage(`random-${run++}`, sample);
      const directory = extract(image);
      compareTree(directory, sample, byExtraction);
      rmSync(directory, { recursive: true });
      if (canMount()) mounted(image, (mountPoint) => compareTree(mountPoint, sample));
      rmSync(image);
    }),
    { numRuns: 25 },
  );
});

test("files beyond 4 GiB, and more names than the first zones hold", () => {
  const size = 5 * gibibyte + 4097;
  const segments = new Map([["huge", Math.ceil(size / 4096) * 4096]]);
  const tree = new Map<string, TreeEntry>([["/", directory()]]);
  tree.set("/huge", { ...attributes, kind: "file", size, content: { kind: "segment", segment: "huge", offset: 0 } });
  for (let i = 0; i < 20_000; i++) tree.set(`/link-${i}`, { ...attributes, kind: "symlink", target: `target-${i}` });
  const segmentPlacement = new Map([["huge", 20 * gibibyte]]);
  const recipe = writeErofs(tree, { size: 31 * gibibyte, label: "", uuid: someUuid, segments, segmentPlacement });
  const image = join(scratch, "huge.img");
  writeRecipeFile(image, { ...recipe, extents: recipe.extents.filter(({ source }) => source.kind === "bytes") });
  execFileSync("fsck.erofs", [image], { stdio: "pipe" });
  assert.match(execFileSync("dump.erofs", ["--path=/huge", image], { encoding: "utf8" }), new RegExp(`Size: ${size} `));
  assert.match(execFileSync("dump.erofs", ["--path=/link-19999", image], { encoding: "utf8" }), /Size: 12 .*symlink/);
  rmSync(image);
});

test("the order of the tree means nothing", () => {
  const sample = sampleTree();
  const reversed = { ...sample, tree: new Map([...sample.tree].reverse()) };
  assert.deepEqual(recipeOf(reversed), recipeOf(sample));
});

test("a file that appears or changes rewrites a handful of blocks", () => {
  const before = systemTree();
  const compare = (name: string, change: (tree: Map<string, TreeEntry>) => void, mostBlocks: number): void => {
    const tree = new Map(before.tree);
    change(tree);
    const changed = changedBlocks(recipeOf(before), recipeOf({ ...before, tree }), before.segments);
    assert.ok(changed.length > 0 && changed.length <= mostBlocks, `${name}: ${changed.length} blocks changed`);
  };
  // Superblock, the directory's inode and names, the file; a little more where an address is contended.
  compare("one more small file", (tree) => tree.set("/etc/added.conf", text("hello\n")), 6);
  compare("one more large file", (tree) => tree.set("/etc/added.bin", text("x".repeat(20_000))), 11);
  compare("a file that grows", (tree) => tree.set("/etc/file-7.conf", text("longer ".repeat(40))), 4);
  compare("another mode", (tree) => tree.set("/etc/file-8.conf", { ...text("8"), mode: 0o600 }), 2);
  compare("one package file less, whose run closes up", (tree) => tree.delete("/usr/bin/package-3-tool-1"), 10);
});

test("a name added to a directory of many blocks changes one of them", () => {
  const tree = new Map<string, TreeEntry>([["/", directory()]]);
  for (let i = 0; i < 3000; i++)
    tree.set(`/some-longish-name-${i * 7919}`, { ...attributes, kind: "hardlink", target: "/x" });
  tree.set("/x", text("x"));
  const added = new Map(tree).set("/some-longish-name-1", { ...attributes, kind: "hardlink", target: "/x" });
  const none = new Map();
  const changed = changedBlocks(recipeOf({ tree, segments: none }), recipeOf({ tree: added, segments: none }));
  // Superblock with the root, the inode with one link more, and the names, in one or two blocks.
  assert.ok(changed.length <= 4, `${changed.length} blocks changed`);
});

test("one package more leaves the others where they are", () => {
  const [before, after_] = [systemTree(120), systemTree(121)];
  const segments = new Map([...after_.segments, ...before.segments]);
  const added = after_.segments.get("package-120")!.length / 4096;
  const changed = changedBlocks(recipeOf(before), recipeOf(after_), segments);
  assert.ok(changed.length - added <= 60, `${changed.length} blocks changed, ${added} of them contents`);
});

test("what an EROFS cannot hold is said plainly", () => {
  const fails = (path: string, entry: TreeEntry, code: string): void => {
    const tree = new Map<string, TreeEntry>([
      ["/", directory()],
      [path, entry],
    ]);
    assert.throws(() => recipeOf({ tree, segments: new Map() }), { name: "MesoError", code });
  };
  fails(`/${"é".repeat(128)}`, text("x"), "bad-name");
  fails("/link", { ...attributes, kind: "symlink", target: "" }, "bad-symlink");
  fails("/link", { ...attributes, kind: "symlink", target: "a".repeat(4096) }, "bad-symlink");
  fails("/link", { ...attributes, kind: "hardlink", target: "/missing" }, "bad-hardlink");
  fails("/link", { ...attributes, kind: "hardlink", target: "/" }, "bad-hardlink");
  fails("/file", { ...text("x"), xattrs: { "system.other": Buffer.from("x") } }, "bad-xattr");
  fails("/file", { ...text("x"), xattrs: { "user.": Buffer.from("x") } }, "bad-xattr");
  fails("/file", { ...text("x"), xattrs: { "user.big": Buffer.alloc(65536) } }, "bad-xattr");
  const options = { size: gibibyte, label: "root", uuid: someUuid, segments: new Map(), segmentPlacement: new Map() };
  const tree = new Map<string, TreeEntry>([["/", directory()]]);
  assert.throws(() => writeErofs(tree, { ...options, label: "seventeen letters" }), { code: "bad-label" });
  assert.throws(() => writeErofs(tree, { ...options, uuid: "0123" }), { code: "bad-uuid" });
  for (const size of [0, 4096, gibibyte + 1, 2 ** 50, Number.NaN]) {
    assert.throws(() => writeErofs(tree, { ...options, size }), { code: "image-too-small" });
  }
});

test("the data region is constant and holds no metadata", () => {
  assert.deepEqual(erofsDataRegion(31 * gibibyte), { start: gibibyte, length: 30 * gibibyte });
  const { tree, segments } = systemTree();
  const { start } = erofsDataRegion(31 * gibibyte);
  for (const extent of recipeOf({ tree, segments }).extents) {
    assert.equal(extent.start >= start, extent.source.kind === "segment");
    if (extent.start < start) assert.ok(extent.start + extent.length <= start);
  }
});

function recipeOf({ tree, segments }: Sample) {
  const size = 31 * gibibyte;
  const region = erofsDataRegion(size);
  const items = [...segments].map(([key, data]) => ({ key, units: Math.max(1, data.length / 4096) }));
  const placement = place(items, { start: region.start / 4096, length: region.length / 4096 });
  return writeErofs(tree, {
    size,
    label: "mesoforge-root",
    uuid: someUuid,
    segments: new Map([...segments].map(([segment, data]) => [segment, data.length])),
    segmentPlacement: new Map([...placement].map(([segment, block]) => [segment, block * 4096])),
  });
}

function writeImage(name: string, sample: Sample): string {
  const image = join(scratch, `${name}.img`);
  writeRecipeFile(image, recipeOf(sample), sample.segments);
  return image;
}

function extract(image: string): string {
  const directory = `${image}.tree`;
  execFileSync("fsck.erofs", [`--extract=${directory}`, "--preserve-perms", image], { stdio: "pipe" });
  return directory;
}

function mounted(image: string, look: (mountPoint: string) => void): void {
  const mountPoint = `${image}.mount`;
  mkdirSync(mountPoint);
  execFileSync("mount", ["-t", "erofs", "-o", "loop,ro", image, mountPoint]);
  try {
    look(mountPoint);
  } finally {
    execFileSync("umount", [mountPoint]);
  }
}

function readAt(path: string, offset: number, length: number): Buffer {
  const file = openSync(path, "r");
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, offset);
  closeSync(file);
  return bytes;
}

function canMount(): boolean {
  return (
    isRoot && readFileSync("/proc/filesystems", "utf8").includes("\terofs\n") && readdirSync("/dev").includes("loop0")
  );
}

/** What `tar` reads of one path, with xattrs as pax records. */
function paxArchive(directory: string, path: string): Buffer {
  const options = ["--format=pax", "--xattrs", "--xattrs-include=*", "-C", directory];
  return execFileSync("tar", ["-c", ...options, `.${path}`]);
}

/** fsck.erofs 1.5 sets modes before owners, so that chown(2) clears set-id bits, and copies hard links. */
const byExtraction = { modes: 0o1777, hardLinks: false };

/** Compares everything that lstat, readlink and read tell; owners where the judge could keep them. */
function compareTree(
  directory: string,
  { tree, segments }: Sample,
  { modes, hardLinks } = { modes: 0o7777, hardLinks: true },
): void {
  assert.deepEqual(sortedBy(walk(directory, "/"), String), sortedBy(tree.keys(), String));
  const inodeNumbers = new Map<string, number>();
  const links = linkCounts(tree);
  for (const [path, named] of tree) {
    const entry = named.kind === "hardlink" ? (tree.get(named.target) as FileEntry) : named;
    const found = lstatSync(join(directory, path));
    inodeNumbers.set(path, found.ino);
    const facts = { mode: found.mode & modes, uid: found.uid, gid: found.gid, mtime: found.mtimeMs / 1000 };
    const expected = { mode: entry.mode & modes, uid: entry.uid, gid: entry.gid, mtime: entry.mtime };
    if (entry.kind === "symlink") facts.mode = expected.mode;
    if (!isRoot) Object.assign(facts, { uid: entry.uid, gid: entry.gid });
    assert.deepEqual(facts, expected, path);
    if (hardLinks)
      assert.equal(found.nlink, links.get(named.kind === "hardlink" ? named.target : path), `links of ${path}`);
    if (entry.kind === "directory") assert.ok(found.isDirectory(), path);
    else if (entry.kind === "symlink") assert.equal(readlinkSync(join(directory, path)), entry.target);
    else assert.ok(readFileSync(join(directory, path)).equals(contents(entry, segments)), `contents of ${path}`);
  }
  for (const [path, entry] of tree) {
    if (hardLinks && entry.kind === "hardlink")
      assert.equal(inodeNumbers.get(path), inodeNumbers.get(entry.target), path);
  }
}

/** What stat should say: names of a file; a directory's own name, its "." and the ".." of its children. */
function linkCounts(tree: FileTree): Map<string, number> {
  const counts = new Map([...tree].map(([path, { kind }]) => [path, kind === "directory" ? 2 : 1]));
  const add = (path: string): void => void counts.set(path, counts.get(path)! + 1);
  for (const [path, entry] of tree) {
    if (entry.kind === "hardlink") add(entry.target);
    if (entry.kind === "directory" && path !== "/") add(path.slice(0, path.lastIndexOf("/")) || "/");
  }
  return counts;
}

function contents({ content, size }: FileEntry, segments: SegmentData): Uint8Array {
  if (content.kind === "bytes") return content.bytes;
  return segments.get(content.segment)!.subarray(content.offset, content.offset + size);
}

function walk(directory: string, path: string): string[] {
  const below = readdirSync(join(directory, path), { withFileTypes: true }).flatMap((item) => {
    const child = path === "/" ? `/${item.name}` : `${path}/${item.name}`;
    return item.isDirectory() ? walk(directory, child) : [child];
  });
  return [path, ...below];
}
