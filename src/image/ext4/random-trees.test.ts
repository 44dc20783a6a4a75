import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { TreeEntry } from "../../store/file-tree.ts";
import { directory, file, hardLink, segmentFile, symlink, treeOf } from "./example-tree.testing.ts";
import { complaints, recipeOf, withImage } from "./image-file.testing.ts";
import { listingByDebugfs, listingOf } from "./read-back.testing.ts";

const runs = 30;

/** Shapes that programs' bugs like: around block boundaries, long and odd names, depth, extremes of numbers. */
const name = fc.oneof(
  fc.stringMatching(/^[a-z]{1,3}$/),
  fc.stringMatching(/^[A-Za-z0-9._+-]{1,40}x$/),
  fc.constantFrom("n".repeat(255), "é".repeat(127), "日本", "with space", "-dash", "..."),
);
const size = fc.oneof(fc.constantFrom(0, 1, 4095, 4096, 4097, 8192, 65_536, 65_537), fc.nat(200_000));
const attributes = fc.record({
  mode: fc.nat(0o7777),
  uid: fc.oneof(fc.nat(1000), fc.constantFrom(65_535, 65_536, 4_294_967_294)),
  gid: fc.oneof(fc.nat(1000), fc.constantFrom(65_535, 65_536, 4_294_967_294)),
  mtime: fc.oneof(fc.nat(2_000_000_000), fc.constantFrom(-1, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 10_000_000_000)),
  xattrs: fc.dictionary(
    fc.stringMatching(/^(user|trusted|security)\.[a-z]{1,30}$/),
    fc.uint8Array({ maxLength: 120 }),
    { maxKeys: 4, noNullPrototype: true },
  ),
});
const entry = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("file" as const), size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("segment" as const), size, of: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("directory" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("symlink" as const), length: fc.constantFrom(1, 59, 60, 61, 4095) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("hardlink" as const), of: fc.nat(1000) }) },
);
const path = fc.array(name, { minLength: 1, maxLength: 6 });
const crowd = fc.record({ in: path, count: fc.nat(900), nameLength: fc.constantFrom(1, 20, 100, 250) });

describe("random trees", () => {
  it("pass e2fsck and read back the same by debugfs", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(path, entry, attributes), { maxLength: 60 }),
        fc.array(crowd, { maxLength: 2 }),
        (items, crowds) => {
          const { tree, segments } = built(items, crowds);
          const data = new Map([...segments].map(([id, length]) => [id, pattern(length, id.charCodeAt(0))]));
          withImage(recipeOf(tree, segments, 2 ** 28), data, (image, folder) => {
            assert.equal(complaints(image), "");
            if (tree.size > 700) return; // e2fsck has read it all; debugfs would take long
            const expected = listingOf(tree, (id) => data.get(id)!);
            assert.deepEqual(listingByDebugfs(image, folder, expected.keys()), expected);
          });
        },
      ),
      { numRuns: runs, seed: 20_260_101 },
    );
  });
});

type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never;

/** A complete tree of what was drawn; what would lie below something other than a directory is left out. */
function built(
  items: readonly [string[], Drawn<typeof entry>, Drawn<typeof attributes>][],
  crowds: readonly Drawn<typeof crowd>[],
) {
  const entries = new Map<string, TreeEntry>();
  const segments = new Map<string, number>();
  const files: string[] = [];
  const add = (names: readonly string[], made: TreeEntry): boolean => {
    const path = `/${names.join("/")}`;
    const above = names.slice(0, -1).map((_, i) => `/${names.slice(0, i + 1).join("/")}`);
    if (entries.has(path) || path === "/lost+found") return false;
    if (above.some((parent) => entries.has(parent) && entries.get(parent)!.kind !== "directory")) return false;
    for (const parent of above) if (!entries.has(parent)) entries.set(parent, directory());
    entries.set(path, made);
    return true;
  };
  for (const [names, item, attributes] of items) {
    if (item.kind === "file") {
      if (add(names, file(pattern(item.size, 1), attributes))) files.push(`/${names.join("/")}`);
    } else if (item.kind === "segment") {
      const id = "abc"[item.of]!;
      const offset = segments.get(id) ?? 0;
      if (!add(names, segmentFile(id, offset, item.size, { ...attributes, origin: id }))) continue;
      segments.set(id, offset + Math.ceil(item.size / 4096) * 4096);
      files.push(`/${names.join("/")}`);
    } else if (item.kind === "directory") add(names, directory({ ...attributes, xattrs: {} }));
    else if (item.kind === "symlink")
      add(names, symlink("t".repeat(item.length), { mtime: attributes.mtime, origin: "a" }));
    else if (files.length > 0) add(names, hardLink(files[item.of % files.length]!));
  }
  for (const { in: names, count, nameLength } of crowds) {
    for (let i = 0; i < count; i++)
      add([...names, `${i}-`.padEnd(nameLength, "x")], i % 5 ? symlink("y") : directory());
  }
  for (const [id, length] of segments) if (length === 0) segments.set(id, 4096);
  return { tree: treeOf(entries), segments };
}

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 12) + seed) & 0xff;
  return bytes;
}
