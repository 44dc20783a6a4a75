import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileEntry, TreeEntry } from "../store/file-tree.ts";
import type { SegmentEntry } from "../store/segment.ts";
import { type DraftTree, generatedFile, generatedLink } from "./draft-tree.ts";
import { type ComposedSource, placeSources } from "./place-sources.ts";

const root = "/meso/store/00000000000000000000000000000000-pmix-5";
const elf = "\x7fELF and so on";

function sourceOf(paths: readonly string[], replaces: readonly string[]): ComposedSource {
  const common = { uid: 0, gid: 0, mtime: 1, mode: 0o555 };
  const entries = paths.map((path): SegmentEntry => ({ kind: "file", path, ...common, size: 4, offset: 0 }));
  const segment = { id: "pmix", dataBytes: 4096, dataSha256: "", entries };
  return { name: "pmix", version: "5", root, replaces, items: [{ path: root, segment }] };
}

function placed(
  debian: Readonly<Record<string, readonly [string, string | { link: string } | { hardLink: string }]>>,
  source: ComposedSource,
) {
  const tree: DraftTree = new Map();
  for (const [path, [origin, value]] of Object.entries(debian)) {
    const file = generatedFile(typeof value === "string" ? value : "", { origin });
    const entry: TreeEntry =
      typeof value === "string"
        ? file
        : "link" in value
          ? generatedLink(value.link, { origin })
          : { kind: "hardlink", mode: 0o644, uid: 0, gid: 0, mtime: 1, origin, target: value.hardLink };
    tree.set(path, entry);
  }
  const readFile = ({ content }: FileEntry) => (content.kind === "bytes" ? content.bytes : new Uint8Array(4));
  return { tree, changed: placeSources(tree, [source], readFile) };
}

const targetOf = (entry: TreeEntry | undefined) => (entry?.kind === "symlink" ? entry.target : entry?.kind);

test("programs of a package that replaces none are linked into /usr/local", () => {
  const { tree, changed } = placed({}, sourceOf(["/bin/run", "/sbin/serve", "/bin/deep/er", "/lib/libpmix.so.2"], []));
  const links = [...tree].filter(([path]) => path.startsWith("/usr/")).map(([path, entry]) => [path, targetOf(entry)]);
  assert.deepEqual(links, [
    ["/usr/local/bin/run", `${root}/bin/run`],
    ["/usr/local/sbin/serve", `${root}/sbin/serve`],
  ]);
  assert.equal(changed.size, 0);
});

test("of a replaced package, what the item has too is exchanged, other binaries go, the rest stays", () => {
  const library = "/usr/lib/x86_64-linux-gnu";
  const { tree, changed } = placed(
    {
      "/usr/bin/run": ["pmix-bin", elf],
      "/usr/bin/only-debian": ["pmix-bin", elf],
      "/usr/bin/again": ["pmix-bin", { hardLink: "/usr/bin/only-debian" }],
      "/usr/bin/script": ["pmix-bin", "#!/bin/sh"],
      "/usr/bin/other": ["other", elf],
      [`${library}/libpmix.so.2`]: ["pmix-bin", { link: "libpmix.so.2.9" }],
      [`${library}/libpmix.so.2.9`]: ["pmix-bin", elf],
      "/usr/share/doc/pmix-bin/copyright": ["pmix-bin", "who wrote it"],
    },
    sourceOf(["/bin/run", "/lib/libpmix.so.2"], ["pmix-bin"]),
  );
  assert.equal(targetOf(tree.get("/usr/bin/run")), `${root}/bin/run`);
  assert.equal(targetOf(tree.get(`${library}/libpmix.so.2`)), `${root}/lib/libpmix.so.2`);
  for (const gone of ["/usr/bin/only-debian", "/usr/bin/again", `${library}/libpmix.so.2.9`])
    assert.ok(!tree.has(gone), gone);
  for (const stays of ["/usr/bin/script", "/usr/bin/other", "/usr/share/doc/pmix-bin/copyright"]) {
    assert.equal(tree.get(stays)?.kind, "file", stays);
  }
  assert.equal(changed.get("pmix-bin")?.size, 5);
});

test("links that lead to what was removed go too: in chains, from other folders, of other replaced packages", () => {
  const { tree, changed } = placed(
    {
      "/usr/bin/first": ["pmix-bin", { link: "second" }],
      "/usr/bin/second": ["pmix-bin", { link: "../lib/pmix/run" }],
      "/usr/lib/pmix/run": ["pmix-bin", elf],
      "/usr/lib/libpmix.so": ["pmix-dev", { link: "pmix/run" }],
      "/usr/bin/absolute": ["pmix-bin", { link: "/usr/lib/pmix/run" }],
      "/usr/bin/stranger": ["other", { link: "../lib/pmix/run" }],
      "/usr/bin/unrelated": ["pmix-bin", { link: "/etc/alternatives/unrelated" }],
    },
    sourceOf(["/bin/run"], ["pmix-bin", "pmix-dev"]),
  );
  const left = [...tree.keys()].filter((path) => path.startsWith("/usr/"));
  assert.deepEqual(left, ["/usr/bin/stranger", "/usr/bin/unrelated"]);
  assert.deepEqual([...changed.get("pmix-dev")!], ["/usr/lib/libpmix.so"]);
});

test("another name of a file whose first name is exchanged keeps the contents", () => {
  const { tree } = placed(
    { "/usr/bin/run": ["pmix-bin", "#!/bin/sh"], "/usr/share/run": ["pmix-bin", { hardLink: "/usr/bin/run" }] },
    sourceOf(["/bin/run"], ["pmix-bin"]),
  );
  const entry = tree.get("/usr/share/run");
  assert.ok(entry?.kind === "file" && entry.content.kind === "bytes");
  assert.equal(Buffer.from(entry.content.bytes).toString(), "#!/bin/sh");
});
