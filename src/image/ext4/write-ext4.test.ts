import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import type { FileTree, TreeEntry } from "../../store/file-tree.ts";
import type { DiskRecipe } from "../extent.ts";
import {
  directory,
  file,
  hardLink,
  packageOf,
  segmentFile,
  symlink,
  systemOf,
  treeOf,
} from "./example-tree.testing.ts";
import { complaints, debugfs, gibibyte, recipeOf, run, withImage } from "./image-file.testing.ts";
import { listingByDebugfs, listingOf, listingOfFolder } from "./read-back.testing.ts";
import { ext4DataRegion, writeExt4 } from "./write-ext4.ts";

describe("an ext4 file system", () => {
  it("holds every path, mode, owner, time, link and content of a varied tree, by debugfs", () => {
    const { tree, segments, data } = variedTree();
    withImage(recipeOf(tree, segments), data, (image, folder) => {
      assert.equal(complaints(image), "");
      const expected = listingOf(tree, (segment) => data.get(segment)!);
      assert.deepEqual(listingByDebugfs(image, folder, expected.keys()), expected);
      const capability = run("debugfs", ["-R", `ea_get -x "/bin/with capability" security.capability`, image]).stdout;
      assert.match(capability, /01 00 00 02 00 20 00 00/);
      assert.match(debugfs(image, "ea_get /bin/with-many user.long"), /x{900}/);
      assert.match(debugfs(image, "ea_get /bin/with-many user.empty"), /user.empty \(0\)/);
    });
  });

  it("is what the kernel mounts, where that is allowed", (test) => {
    const { tree, segments, data } = variedTree();
    withImage(recipeOf(tree, segments, 31 * gibibyte), data, (image, folder) => {
      const point = join(folder, "mounted");
      mkdirSync(point);
      if (process.getuid?.() !== 0 || run("mount", ["-o", "loop,ro", image, point]).status !== 0) {
        return test.skip("mounting a loop device takes root and a kernel that has them");
      }
      try {
        assert.deepEqual(
          listingOfFolder(point),
          listingOf(tree, (segment) => data.get(segment)!),
        );
      } finally {
        run("umount", [point]);
      }
    });
  });

  it("can be written to by the kernel, where that is allowed, and is still sound", (test) => {
    const { tree, segments } = systemOf(20);
    withImage(recipeOf(tree, segments, 31 * gibibyte), new Map(), (image, folder) => {
      const point = join(folder, "mounted");
      mkdirSync(point);
      if (process.getuid?.() !== 0 || run("mount", ["-o", "loop", image, point]).status !== 0) {
        return test.skip("mounting a loop device takes root and a kernel that has them");
      }
      try {
        for (let i = 0; i < 500; i++) writeFileSync(join(point, `usr/bin/new-${i}`), "x".repeat(i * 50));
        rmSync(join(point, "usr/share"), { recursive: true });
        mkdirSync(join(point, "a/b/c"), { recursive: true });
      } finally {
        run("umount", [point]);
      }
      assert.equal(complaints(image), "");
    });
  });

  it("says what it is in its superblock", () => {
    withImage(recipeOf(treeOf([]), new Map(), 31 * gibibyte), new Map(), (image) => {
      const header = run("dumpe2fs", ["-h", image]).stdout;
      assert.match(header, /volume name: +my-root\n/);
      assert.match(header, /UUID: +00112233-4455-6677-8899-aabbccddeeff\n/);
      assert.match(header, /Reserved block count: +0\n/);
      assert.match(header, /Total journal size: +16M\n/);
      assert.match(header, /Filesystem state: +clean\n/);
      const groups = run("dumpe2fs", [image]).stdout;
      assert.doesNotMatch(groups, /Backup superblock/);
      assert.equal(complaints(image), "");
    });
  });

  it("follows files beyond 4 GiB and beyond 340 extents", () => {
    const sizes = { four: 4 * gibibyte + 4097, five: 5 * 128 * 2 ** 20 - 1, huge: 44 * gibibyte };
    const segments = new Map(Object.entries(sizes).map(([id, size]) => [id, Math.ceil(size / 4096) * 4096]));
    const tree = treeOf(Object.entries(sizes).map(([id, size]) => [`/${id}`, segmentFile(id, 0, size)]));
    withImage(recipeOf(tree, segments, 80 * gibibyte), new Map(), (image) => {
      assert.equal(complaints(image), "");
      for (const [id, size] of Object.entries(sizes))
        assert.match(debugfs(image, `stat /${id}`), new RegExp(`Size: ${size}\n`));
      const extents = debugfs(image, "dump_extents -n /huge").split("\n");
      assert.equal(extents.length > 2, true);
      assert.match(debugfs(image, "dump_extents -l /huge"), /352\/352|\b12\/ ?12\b/);
    });
  });

  it("takes the nearest time that fits", () => {
    const tree = treeOf([
      ["/late", file("", { mtime: 2 ** 40 })],
      ["/early", file("", { mtime: -(2 ** 40) })],
    ]);
    withImage(recipeOf(tree), new Map(), (image) => {
      assert.match(debugfs(image, "stat /late"), /mtime: 0x7fffffff:00000003/);
      assert.match(debugfs(image, "stat /early"), /mtime: 0x80000000:00000000/);
    });
  });

  it("gives a second file with the same bytes of a segment blocks of its own", () => {
    const bytes = Buffer.alloc(8192, "segment");
    const tree = treeOf([
      ["/etc/skel/.bashrc", segmentFile("s", 0, 5000)],
      ["/root/.bashrc", segmentFile("s", 0, 5000)],
      ["/root/part", segmentFile("s", 4096, 4000)],
    ]);
    const data = new Map([["s", bytes]]);
    withImage(recipeOf(tree, new Map([["s", 8192]])), data, (image, folder) => {
      assert.equal(complaints(image), "");
      const expected = listingOf(tree, () => bytes);
      assert.deepEqual(listingByDebugfs(image, folder, expected.keys()), expected);
    });
  });

  it("holds directories beyond what one level of an index reaches", () => {
    const names = Array.from({ length: 6000 }, (_, i): [string, TreeEntry] => [
      `/d/${`${i}-`.padEnd(255, "n")}`,
      symlink("t"),
    ]);
    withImage(recipeOf(treeOf(names)), new Map(), (image) => {
      assert.equal(complaints(image), "");
      assert.equal(debugfs(image, "ls -p /d").match(/\/120777\//g)?.length, 6000);
    });
  });

  it("writes only blocks that hold something", () => {
    const { tree, segments } = systemOf(60);
    const recipe = recipeOf(tree, segments, 31 * gibibyte);
    const directories = [...tree.values()].filter(({ kind }) => kind === "directory").length;
    const metadata = recipe.extents
      .filter(({ source }) => source.kind === "bytes")
      .reduce((sum, e) => sum + e.length, 0);
    assert.ok(metadata < 2.5 * 2 ** 20 + directories * 4096, `${metadata} bytes of metadata`);
    const blocks = blocksOf(recipe);
    const empty = [...blocks].filter(([, digest]) => digest === sha256(Buffer.alloc(4096)));
    assert.ok(empty.length <= 60, `${empty.length} blocks of zeros`);
  });
});

describe("the layout of an ext4 file system", () => {
  const { tree, segments } = systemOf(100);
  const before = recipeOf(tree, segments, 31 * gibibyte);

  it("depends neither on the order of the tree nor on the text of origins", () => {
    const turned: FileTree = new Map([...tree].reverse());
    const renamed: FileTree = new Map(
      [...tree].map(([path, entry]) => [path, { ...entry, origin: `else ${entry.origin}` }]),
    );
    assert.deepEqual(recipeOf(turned, new Map([...segments].reverse()), 31 * gibibyte), before);
    assert.deepEqual(recipeOf(renamed, segments, 31 * gibibyte), before);
  });

  it("changes in one block when only the UUID changes", () => {
    const other = recipeOf(tree, segments, 31 * gibibyte, "ffffffff-4455-6677-8899-aabbccddeeff");
    assert.equal(changedBlocks(before, other), 1);
  });

  it("changes in few blocks when a file in /etc is added, changed or removed", () => {
    const added = recipeOf(withEntries(tree, [["/etc/motd", file("hello\n")]]), segments, 31 * gibibyte);
    assertFewChanges("one file more", before, added, 12);
    const changed = recipeOf(withEntries(tree, [["/etc/hostname", file("mini-2\n")]]), segments, 31 * gibibyte);
    assertFewChanges("a file of the same size", before, changed, 1);
    const longer = recipeOf(
      withEntries(tree, [["/etc/hostname", file("mini-1\n".repeat(2000))]]),
      segments,
      31 * gibibyte,
    );
    assertFewChanges("a file grown", before, longer, 12);
  });

  it("changes in few blocks when a package is added, and leaves the data of all others where it was", () => {
    const extra = packageOf("extra", 30);
    const more = new Map([...segments, [extra.segment, extra.dataBytes]]);
    const after = recipeOf(withEntries(tree, treeOf(extra.entries)), more, 31 * gibibyte);
    assertFewChanges("one package more", before, after, 24);
    assert.deepEqual(
      segmentExtents(after).filter(({ source }) => source.segment !== extra.segment),
      segmentExtents(before),
    );
  });

  it("changes in few blocks when a package is updated and one of its files grows", () => {
    const old = packageOf("package-5", 38);
    const update = packageOf("package-5", 38, "2");
    assert.ok(segments.has(old.segment));
    const others = new Map([...segments].filter(([id]) => id !== old.segment));
    const grown = update.entries.map(([path, entry]): [string, TreeEntry] =>
      entry.kind === "file" && path.endsWith("/37") ? [path, { ...entry, size: entry.size + 8192 }] : [path, entry],
    );
    const after = recipeOf(
      withEntries(tree, grown),
      new Map([...others, [update.segment, update.dataBytes + 8192]]),
      31 * gibibyte,
    );
    assertFewChanges("a package updated", before, after, 16);
  });

  it("keeps out of the data region whatever is no segment", () => {
    const region = ext4DataRegion(31 * gibibyte);
    for (const { start, length, source } of before.extents) {
      if (source.kind === "bytes") assert.ok(start + length <= region.start);
      else assert.ok(start >= region.start && start + length <= region.start + region.length);
    }
  });
});

describe("what ext4 cannot hold", () => {
  const cases: [string, string, () => unknown][] = [
    ["a long name", "name-too-long", () => recipeOf(treeOf([[`/${"é".repeat(128)}`, file("")]]))],
    ["a long link", "link-target", () => recipeOf(treeOf([["/l", symlink("x".repeat(4096))]]))],
    ["an empty link", "link-target", () => recipeOf(treeOf([["/l", symlink("")]]))],
    ["a hard link to nothing", "link-target", () => recipeOf(treeOf([["/l", hardLink("/nothing")]]))],
    [
      "a hard link to a directory",
      "link-target",
      () =>
        recipeOf(
          treeOf([
            ["/d", directory()],
            ["/l", hardLink("/d")],
          ]),
        ),
    ],
    ["too many names", "too-many-links", () => recipeOf(manyNames())],
    [
      "an ACL",
      "xattr-name",
      () => recipeOf(treeOf([["/f", file("", { xattrs: { "system.posix_acl_access": Buffer.alloc(4) } })]])),
    ],
    [
      "large attributes",
      "xattr-size",
      () => recipeOf(treeOf([["/f", file("", { xattrs: { "user.x": Buffer.alloc(4096) } })]])),
    ],
    ["an enormous file", "file-too-large", () => recipeOf(treeOf([["/f", segmentFile("s", 0, 2 ** 40)]]), new Map())],
    ["lost+found as a file", "reserved-path", () => recipeOf(treeOf([["/lost+found", file("")]]))],
    [
      "more than its size",
      "no-room",
      () => recipeOf(treeOf([["/f", file(Buffer.alloc(20 * 2 ** 20))]]), new Map(), 2 ** 28),
    ],
    ["a size that is no multiple of 4096", "image-size", () => recipeOf(treeOf([]), new Map(), gibibyte + 512)],
    ["a tiny size", "image-size", () => recipeOf(treeOf([]), new Map(), 2 ** 20)],
    ["a long label", "label", () => writeExt4(treeOf([]), { ...plain, label: "more than sixteen" })],
    ["a bad UUID", "uuid", () => writeExt4(treeOf([]), { ...plain, uuid: "1234" })],
  ];
  for (const [what, code, attempt] of cases) {
    it(`says so: ${what}`, () => {
      assert.throws(attempt, (error) => error instanceof MesoError && error.code === code && error.message.length > 20);
    });
  }
});

const plain = {
  ...{ size: gibibyte, label: "x", uuid: "00112233-4455-6677-8899-aabbccddeeff" },
  ...{ segments: new Map(), segmentPlacement: new Map() },
};

function manyNames(): FileTree {
  const names = Array.from({ length: 65_000 }, (_, i): [string, TreeEntry] => [`/d/${i}`, hardLink("/f")]);
  return treeOf([["/f", file("")], ...names]);
}

function variedTree() {
  const bytes = Buffer.from(Array.from({ length: 40_960 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
  const entries: [string, TreeEntry][] = [
    ["/etc", directory({ mtime: 1_600_000_001 })],
    ["/etc/shadow", file("root:*:\n", { mode: 0o640, gid: 42 })],
    ["/bin/su", file("#!", { mode: 0o4755 })],
    ["/bin/sgid", file("#!", { mode: 0o2755, uid: 1000, gid: 100_000 })],
    ["/bin/with capability", segmentFile("one", 0, 5000, { xattrs: { "security.capability": capability } })],
    ["/bin/with-many", file("x", { xattrs: { "user.long": Buffer.alloc(900, "x"), "user.empty": Buffer.alloc(0) } })],
    ["/tmp", directory({ mode: 0o1777, uid: 4_000_000_000, gid: 70_000 })],
    ["/empty", file("")],
    ["/one-block", file(Buffer.alloc(4096, 1))],
    ["/one-more", file(Buffer.alloc(4097, 2))],
    ["/large", file(Buffer.alloc(300_001, 3), { mtime: 5_000_000_000 })],
    ["/before-1970", file("old", { mtime: -86_400 })],
    ["/segment/a", segmentFile("one", 8192, 1)],
    ["/segment/b", segmentFile("one", 12_288, 28_672)],
    ["/links/59", symlink("x".repeat(59))],
    ["/links/60", symlink("y".repeat(60))],
    ["/links/4095", symlink("z".repeat(4095))],
    ["/links/hard", hardLink("/bin/su")],
    ["/links/before", hardLink("/zz")],
    ["/zz", file("last")],
    [`/${"n".repeat(255)}`, file("long name")],
    ["/unicode/é日本😀", file("name")],
    ["/lost+found", directory({ mode: 0o700 })],
  ];
  for (let i = 0; i < 1500; i++) entries.push([`/many/entry number ${i}`, i % 9 ? symlink(`${i}`) : directory()]);
  for (let i = 0; i < 300; i++) entries.push([`/few/${i}`, file(`${i}`)]);
  for (let i = 0; i < 300; i++) entries.push([`/long/${`${i}-`.padEnd(255, "n")}`, symlink("t")]);
  entries.push([`/${Array.from({ length: 60 }, (_, i) => `deep-${i}`).join("/")}/end`, file("deep")]);
  const tree = new Map(treeOf(entries));
  tree.delete("/lost+found");
  return { tree, segments: new Map([["one", bytes.length]]), data: new Map([["one", bytes]]) };
}

function withEntries(tree: FileTree, entries: Iterable<readonly [string, TreeEntry]>): FileTree {
  const added = [...entries].filter(([path, entry]) => entry.kind !== "directory" || !tree.has(path));
  return new Map([...tree, ...added]);
}

function segmentExtents(recipe: DiskRecipe) {
  return recipe.extents.flatMap(({ start, length, source }) =>
    source.kind === "segment" ? [{ start, length, source }] : [],
  );
}

/** Digests of all written blocks of metadata and generated files, by number. */
function blocksOf(recipe: DiskRecipe): Map<number, string> {
  const blocks = new Map<number, string>();
  for (const { start, length, source } of recipe.extents) {
    if (source.kind !== "bytes") continue;
    for (let at = 0; at < length; at += 4096)
      blocks.set((start + at) / 4096, sha256(source.bytes.subarray(at, at + 4096)));
  }
  return blocks;
}

/** Blocks that must be written to turn one image into the other, segments' data aside; those only freed do not count. */
function changedBlocks(before: DiskRecipe, after: DiskRecipe): number {
  const old = blocksOf(before);
  return [...blocksOf(after)].filter(([block, digest]) => old.get(block) !== digest).length;
}

function assertFewChanges(what: string, before: DiskRecipe, after: DiskRecipe, most: number): void {
  const count = changedBlocks(before, after);
  assert.ok(count > 0 && count <= most, `${what}: ${count} blocks changed, at most ${most} expected`);
}
