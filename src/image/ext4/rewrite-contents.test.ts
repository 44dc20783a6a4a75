import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { FileTree, TreeEntry } from "../../store/file-tree.ts";
import type { DiskRecipe } from "../extent.ts";
import { directory, file, hardLink, systemOf, treeOf } from "./example-tree.testing.ts";
import { complaints, gibibyte, recipeOf, testUuid, withImage } from "./image-file.testing.ts";
import { ext4Frame, rewriteContents } from "./rewrite-contents.ts";
import { type Ext4Recipe, writeExt4 } from "./write-ext4.ts";

const none = new Map<string, number>();
const plain = { size: gibibyte, label: "my-root", uuid: testUuid, segments: none, segmentPlacement: none };
const frameOf = (tree: FileTree, options: Partial<typeof plain> = {}) => ext4Frame(tree, { ...plain, ...options });

/** What one file holds in two file systems of one frame: as many blocks in both. */
const contentsPair = fc
  .tuple(fc.constantFrom(0, 1, 2, 3, 16), fc.nat(4095), fc.nat(4095), fc.nat(255), fc.nat(255))
  .map(([blocks, lessA, lessB, a, b]) => {
    const bytes = (less: number, fill: number) => Buffer.alloc(Math.max(0, blocks * 4096 - less), fill);
    return [bytes(lessA, a), bytes(lessB, b)] as const;
  });
const attributes = fc.record({
  mode: fc.nat(0o7777),
  uid: fc.nat(100_000),
  gid: fc.nat(100_000),
  mtime: fc.nat(2_000_000_000),
  xattrs: fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,30}$/), fc.uint8Array({ maxLength: 120 }), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
});

describe("rewriting contents", () => {
  it("gives, byte for byte, what the tree gives when it is written anew", () => {
    const files = fc.array(fc.tuple(contentsPair, attributes), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(files, (drawn) => {
        const treeWith = (which: 0 | 1): FileTree =>
          treeOf([
            ...systemOf(3).tree,
            ...drawn.map(([pair, more], i): [string, TreeEntry] => [`/etc/d${i % 3}/${i}`, file(pair[which], more)]),
            ["/etc/large", file(Buffer.alloc(70_000, 7))],
            ["/etc/link", hardLink("/etc/d0/0")],
          ]);
        const { segments } = systemOf(3);
        const [before, after] = [treeWith(0), treeWith(1)];
        const written = recipeOf(before, segments) as Ext4Recipe;
        const kept = contentsOf(written);
        const rewritten = rewriteContents(written, after, written.generated);
        assert.deepEqual(contentsOf(rewritten), contentsOf(recipeOf(after, segments)));
        assert.deepEqual(rewritten.free, written.free);
        // The file system that it was made from may still be written to a disk.
        assert.deepEqual(contentsOf(written), kept);
      }),
      { numRuns: 40, seed: 20_260_102 },
    );
  });

  it("copies only what it changes, and e2fsck finds nothing wrong", () => {
    const before = treeOf([
      ["/etc/hostname", file("mini-1\n")],
      ["/etc/other", file("same\n")],
    ]);
    const after = treeOf([
      ["/etc/hostname", file("a-longer-name\n")],
      ["/etc/other", file("same\n")],
    ]);
    const written = writeExt4(before, plain);
    const rewritten = rewriteContents(written, after, written.generated);
    const fresh = rewritten.extents.filter((extent, i) => extent !== written.extents[i]);
    assert.equal(fresh.length, 2, "one extent of contents, one of inodes");
    assert.equal(
      withImage(rewritten, new Map(), (image) => complaints(image)),
      "",
    );
  });
});

describe("a frame", () => {
  const tree = treeOf([
    ["/etc/a", file("a")],
    ["/etc/large", file(Buffer.alloc(70_000, 7))],
  ]);
  const changed = (path: string, entry: TreeEntry) => frameOf(new Map([...tree, [path, entry]]));

  it("is the same for contents of as many blocks", () => {
    assert.equal(changed("/etc/a", file("something else")), frameOf(tree));
    assert.equal(changed("/etc/a", file(Buffer.alloc(4096, 1))), frameOf(tree));
  });

  const others: [string, string][] = [
    ["no contents", changed("/etc/a", file(""))],
    ["a block more", changed("/etc/a", file(Buffer.alloc(4097, 1)))],
    ["a mode", changed("/etc/a", file("a", { mode: 0o600 }))],
    ["an owner", changed("/etc/a", file("a", { uid: 1 }))],
    ["a group", changed("/etc/a", file("a", { gid: 1 }))],
    ["a time", changed("/etc/a", file("a", { mtime: 5 }))],
    ["an origin", changed("/etc/a", file("a", { origin: "another" }))],
    ["an attribute", changed("/etc/a", file("a", { xattrs: { "user.a": Buffer.from("1") } }))],
    ["another attribute", changed("/etc/a", file("a", { xattrs: { "user.a": Buffer.from("2") } }))],
    ["a large file", changed("/etc/large", file(Buffer.alloc(70_000, 8)))],
    ["a kind", changed("/etc/a", directory())],
    ["a link", changed("/etc/a", hardLink("/etc/large"))],
    ["a path more", changed("/etc/b", file("a"))],
    ["a label", frameOf(tree, { label: "other" })],
    ["a size", frameOf(tree, { size: 2 * gibibyte })],
    ["a UUID", frameOf(tree, { uuid: testUuid.replace("0", "1") })],
  ];
  for (const [what, frame] of others) it(`is another with ${what}`, () => assert.notEqual(frame, frameOf(tree)));

  it("is another where a segment lies elsewhere, or is larger", () => {
    const { tree, segments } = systemOf(2);
    const at = (place: number) => new Map([...segments.keys()].map((id, i) => [id, 2 ** 28 + i * place]));
    const larger = new Map([...segments].map(([id, bytes]) => [id, bytes + 4096]));
    const frames = [
      frameOf(tree, { segments, segmentPlacement: at(2 ** 22) }),
      frameOf(tree, { segments, segmentPlacement: at(2 ** 23) }),
      frameOf(tree, { segments: larger, segmentPlacement: at(2 ** 22) }),
    ];
    assert.equal(new Set(frames).size, 3);
  });
});

function contentsOf({ extents }: DiskRecipe): unknown[] {
  return extents.map(({ start, length, source }) => [
    start,
    length,
    source.kind === "bytes" ? Buffer.from(source.bytes).toString("latin1") : source,
  ]);
}
