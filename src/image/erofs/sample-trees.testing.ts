import fc from "fast-check";
import type { FileEntry, FileTree, TreeEntry } from "../../store/file-tree.ts";
import type { SegmentData } from "../../test-support/recipe-file.ts";

/** A tree with the data of the segments it points into. */
export interface Sample {
  readonly tree: FileTree;
  readonly segments: SegmentData;
}

export const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 0, origin: "test" } as const;

export function directory(mode = 0o755): TreeEntry {
  return { ...attributes, kind: "directory", mode };
}

export function text(content: string): FileEntry {
  const bytes = Buffer.from(content);
  return { ...attributes, kind: "file", size: bytes.length, content: { kind: "bytes", bytes } };
}

/** Collects files into one segment, each on a block of its own. */
function segmentBuilder(segment: string) {
  const chunks: Buffer[] = [];
  let length = 0;
  return {
    file(bytes: Uint8Array, more: Partial<FileEntry> = {}): FileEntry {
      const offset = length;
      const padded = Buffer.alloc(Math.ceil(bytes.length / 4096) * 4096);
      padded.set(bytes);
      chunks.push(padded);
      length += padded.length;
      return {
        ...attributes,
        kind: "file",
        size: bytes.length,
        content: { kind: "segment", segment, offset },
        ...more,
      };
    },
    data: () => Buffer.concat(chunks),
  };
}

/** Every kind of entry and every turn of the format that the writer takes. */
export function sampleTree(): Sample {
  const one = segmentBuilder("one");
  const two = segmentBuilder("two");
  const capability = { "security.capability": Buffer.from("0100000200040000000000000000000000000000", "hex") };
  const ping = one.file(Buffer.alloc(10_000, "ping"), { mode: 0o755, xattrs: capability });
  const tree = new Map<string, TreeEntry>([
    ["/", { ...directory(0o755), mtime: 1_700_000_000 }],
    ["/empty", directory(0o1777)],
    ["/usr", directory()],
    ["/usr/bin", directory()],
    ["/usr/bin/su", one.file(Buffer.from("set-uid"), { mode: 0o4755 })],
    ["/usr/bin/ping", ping],
    ["/usr/bin/shares-the-start-of-ping", { ...ping, size: 5000 }],
    ["/usr/bin/pong", { ...attributes, kind: "hardlink", target: "/usr/bin/ping" }],
    ["/pang", { ...attributes, kind: "hardlink", target: "/usr/bin/ping" }],
    ["/usr/bin/none", one.file(Buffer.alloc(0))],
    ["/usr/bin/block", two.file(Buffer.alloc(4096, "b"), { uid: 100_000, gid: 4_000_000_000, mtime: 5_000_000_000 })],
    ["/empty-text", text("")],
    ["/inline", text("hello\n")],
    ["/compact-but-for-its-owner", { ...text("hello\n"), uid: 70_000 }],
    ["/compact-but-for-its-group", { ...text("hello\n"), gid: 70_000 }],
    ["/inline-owned", { ...text("hello\n"), uid: 70_000, mtime: 1_600_000_000 }],
    ["/barely-inline", text("i".repeat(2048 - 32))],
    ["/barely-outside", text("o".repeat(2048 - 31))],
    ["/exactly-a-block", text("e".repeat(4096))],
    ["/long", text("0123456789".repeat(3000))],
    ["/short-link", { ...attributes, kind: "symlink", mode: 0o777, target: "usr/bin" }],
    ["/long-link", { ...attributes, kind: "symlink", mode: 0o777, target: `${"d/".repeat(2000)}end` }],
    ["/after-dots", text("sorts behind")],
    ["/!before-dots", text("sorts before")],
    ["/ünïcode-\u{1f600}-\uffee", text("sorts by bytes")],
    ["/xattrs", { ...text("x"), xattrs: { "user.a": Buffer.from("1"), "user.bc": Buffer.from("22"), ...capability } }],
    ["/xattrs-wide", { ...text("y".repeat(300)), xattrs: { "user.wide": Buffer.alloc(3000, "w") } }],
    ["/xattrs-huge", { ...text("z".repeat(300)), xattrs: { "trusted.huge": Buffer.alloc(50_000, "h") } }],
    ["/many", directory()],
    ["/some", directory()],
  ]);
  for (let i = 0; i < 3000; i++) tree.set(`/many/${"n".repeat(i % 60)}-${i}`, text(`${i}`));
  for (let i = 0; i < 40; i++) tree.set(`/some/entry-${i}`, i % 2 === 0 ? directory() : text("half a block"));
  return {
    tree,
    segments: new Map([
      ["one", one.data()],
      ["two", two.data()],
    ]),
  };
}

/** Something of the shape of a small system. */
export function systemTree(packages = 120): Sample {
  const tree = new Map<string, TreeEntry>();
  for (const path of ["/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/usr/share", "/usr/share/doc"]) {
    tree.set(path, directory());
  }
  for (let i = 0; i < 150; i++) tree.set(`/etc/file-${i}.conf`, text(`${i}`));
  const segments = new Map<string, Uint8Array>();
  for (let i = 0; i < packages; i++) {
    const segment = segmentBuilder(`package-${i}`);
    const file = (content: string): FileEntry => segment.file(Buffer.from(content), { mtime: 1_700_000_000 + i });
    tree.set(`/usr/share/doc/package-${i}`, directory());
    tree.set(`/usr/share/doc/package-${i}/copyright`, file("free"));
    for (let j = 0; j < 1 + (i % 9); j++) tree.set(`/usr/bin/package-${i}-tool-${j}`, file(`tool ${i} ${j}`));
    for (let j = 0; j < 2 + (i % 30); j++) tree.set(`/usr/lib/libpackage-${i}.so.${j}`, file(`library ${i} ${j}`));
    tree.set(`/usr/lib/libpackage-${i}.so`, { ...attributes, kind: "symlink", target: `libpackage-${i}.so.0` });
    segments.set(`package-${i}`, segment.data());
  }
  return { tree, segments };
}

export function randomTree(): fc.Arbitrary<Sample> {
  const name = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .filter((each) => !/^\.{1,2}$|[/\0]/.test(each));
  const more = fc.record({
    // Readable by the owner, so that the test reads them back without being root.
    mode: fc.integer({ min: 0, max: 0o7777 }).map((mode) => mode | 0o400),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    gid: fc.integer({ min: 0, max: 70_000 }),
    mtime: fc.constantFrom(0, 1, 1_700_000_000),
  });
  const node = fc.record({
    parent: fc.nat(),
    name,
    more,
    kind: fc.constantFrom("directory", "bytes", "segment", "symlink", "hardlink"),
    size: fc.oneof(fc.nat(20), fc.nat(9000)),
    other: fc.nat(),
  });
  return fc.array(node, { maxLength: 60 }).map((nodes) => {
    const tree = new Map<string, TreeEntry>([["/", directory()]]);
    const segment = segmentBuilder("random");
    for (const { parent, name, more, kind, size, other } of nodes) {
      const directories = [...tree].filter(([, entry]) => entry.kind === "directory").map(([path]) => path);
      const files = [...tree].filter(([, entry]) => entry.kind === "file").map(([path]) => path);
      const above = directories[parent % directories.length]!;
      const path = above === "/" ? `/${name}` : `${above}/${name}`;
      if (tree.has(path)) continue;
      const bytes = Buffer.alloc(size, name);
      if (kind === "directory") tree.set(path, { ...directory(), ...more, mode: more.mode | 0o700 });
      else if (kind === "bytes") tree.set(path, { ...text(""), ...more, size, content: { kind: "bytes", bytes } });
      else if (kind === "segment") tree.set(path, segment.file(bytes, more));
      else if (kind === "symlink")
        tree.set(path, { ...attributes, ...more, kind, target: name.repeat(1 + (size % 20)) });
      else if (files.length > 0)
        tree.set(path, { ...attributes, kind: "hardlink", target: files[other % files.length]! });
    }
    return { tree, segments: new Map([["random", segment.data()]]) };
  });
}
