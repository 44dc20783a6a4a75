import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { failure } from "../../base/error.ts";
import type { FileEntry } from "../../store/file-tree.ts";
import { completeTree, type DraftTree, generatedFile, generatedLink } from "../draft-tree.ts";
import { linkerCache } from "./linker-cache.ts";

const machine = process.arch === "arm64" ? 183 : 62;
const version = /Debian GLIBC ([^)]+)\)/.exec(execFileSync("/sbin/ldconfig", ["--version"], { encoding: "utf8" }))![1]!;

test("whatever libraries are called, the file is byte for byte that of this host's ldconfig", () => {
  const part = fc.constantFrom("a", "1", "10", "02", "9", ".so", ".so.", ".1", "-", "lib", "ld-");
  const name = fc
    .tuple(fc.constantFrom("lib", "ld-", "ld.so", "ld64.so.", "x"), fc.array(part, { maxLength: 4 }))
    .map(([start, rest]) => [start, ...rest].join(""));
  const library = fc.record({
    folder: fc.constantFrom("/usr/lib", "/usr/lib/first", "/opt/second"),
    name,
    soname: fc.option(name, { nil: undefined }),
    machine: fc.constantFrom(machine, machine, machine, 8),
    type: fc.constantFrom(3, 3, 3, 2),
  });
  const link = fc.record({ folder: fc.constantFrom("/usr/lib", "/usr/lib/first"), name, target: name });
  fc.assert(
    fc.property(fc.array(library, { maxLength: 12 }), fc.array(link, { maxLength: 6 }), (libraries, links) => {
      const tree = usualTree();
      for (const one of links) tree.set(`${one.folder}/${one.name}`, generatedLink(one.target, { origin: "test" }));
      for (const one of libraries) add(tree, `${one.folder}/${one.name}`, sharedObject(one));
      compare(tree);
    }),
    { numRuns: 150, seed: 7 },
  );
});

test("one folder under several names, linker scripts, dangling links and links in circles", () => {
  const tree = usualTree();
  add(tree, "/usr/lib/first/libz.so.1.3", sharedObject({ machine, soname: "libz.so.1" }));
  tree.set("/usr/lib/first/libz.so.1", generatedLink("libz.so.1.3", { origin: "test" }));
  tree.set("/usr/lib/first/libz.so", generatedLink("libz.so.1.3", { origin: "test" }));
  tree.set("/usr/lib/first/libgone.so.2", generatedLink("libgone.so.2.0", { origin: "test" }));
  tree.set("/usr/lib/first/libround.so.2", generatedLink("libround.so.2", { origin: "test" }));
  add(tree, "/usr/lib/first/libc.so", "/* GNU ld script */\n");
  add(tree, "/etc/ld.so.conf.d/b.conf", "/lib/first/ \n/usr/lib/first\n");
  add(tree, "/etc/ld.so.conf.d/.hidden.conf", "/opt\n");
  const bytes = compare(tree);
  assert.equal(Buffer.from(bytes).includes("/lib/first/libz.so.1\0"), true);
});

test("what is not known here is left to ldconfig", () => {
  const asked = (change: (tree: DraftTree) => void) => {
    const tree = usualTree();
    change(tree);
    completeTree(tree);
    return linkerCache(tree, version, read);
  };
  assert.ok(asked(() => {}));
  const object = sharedObject({ machine });
  assert.equal(
    asked((tree) => add(tree, "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so", object)),
    undefined,
  );
  assert.equal(
    asked((tree) => add(tree, "/etc/ld.so.conf", "/opt/lib=libc6\n")),
    undefined,
  );
  assert.equal(
    asked((tree) => add(tree, "/etc/ld.so.conf", "include conf.d/*.conf\n")),
    undefined,
  );
  assert.equal(
    asked((tree) => add(tree, "/usr/sbin/ldconfig", sharedObject({ machine: 22 }))),
    undefined,
  );
  assert.equal(
    asked((tree) => add(tree, "/usr/lib/libsmall.so", sharedObject({ machine: 3 }))),
    undefined,
  );
  assert.equal(
    asked((tree) => add(tree, "/usr/lib/libcut.so", object.subarray(0, 100))),
    undefined,
  );
  assert.equal(
    asked((tree) => tree.delete("/usr/sbin/ldconfig")),
    undefined,
  );
  const broken = () => {
    throw failure("damaged-segment", "gone");
  };
  assert.throws(() => linkerCache(usualTree(), version, broken), { code: "damaged-segment" });
});

function usualTree(): DraftTree {
  const tree: DraftTree = new Map();
  tree.set("/lib", generatedLink("usr/lib", { origin: "test" }));
  add(tree, "/usr/sbin/ldconfig", sharedObject({ machine }));
  add(tree, "/etc/ld.so.conf", "# folders\ninclude /etc/ld.so.conf.d/*.conf\n");
  add(tree, "/etc/ld.so.conf.d/a.conf", "/nowhere\n  /opt/second  # one more\n/lib/first\n");
  return tree;
}

function add(tree: DraftTree, path: string, content: string | Uint8Array): void {
  tree.set(path, generatedFile(content, { origin: "test" }));
}

function read({ content, size }: FileEntry): Uint8Array {
  assert.ok(content.kind === "bytes" && content.bytes.length === size);
  return content.bytes;
}

function compare(tree: DraftTree): Uint8Array {
  completeTree(tree);
  const folder = mkdtempSync(join(tmpdir(), "meso-ldconfig-"));
  try {
    for (const [path, entry] of tree) {
      const place = join(folder, path);
      mkdirSync(dirname(place), { recursive: true });
      if (entry.kind === "directory") mkdirSync(place, { recursive: true });
      else if (entry.kind === "file") writeFileSync(place, read(entry));
      else symlinkSync(entry.target, place);
    }
    execFileSync("/sbin/ldconfig", ["-X", "-r", folder], { stdio: "ignore", env: { LC_ALL: "C" } });
    const ours = linkerCache(tree, version, read);
    const theirs = readFileSync(join(folder, "etc/ld.so.cache"));
    assert.ok(ours);
    assert.equal(Buffer.from(ours).toString("latin1"), theirs.toString("latin1"));
    return ours;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The smallest file that ldconfig takes for a library: two program headers, a dynamic section, a string table. */
function sharedObject(about: { machine: number; soname?: string | undefined; type?: number }): Buffer {
  const bits = about.machine === 3 ? 32 : 64;
  const word = bits / 8;
  const headerBytes = bits === 64 ? 64 : 52;
  const programBytes = bits === 64 ? 56 : 32;
  const dynamicAt = headerBytes + 2 * programBytes;
  const stringsAt = dynamicAt + 6 * word;
  const strings = Buffer.from(`\0${about.soname ?? ""}\0`);
  const file = Buffer.alloc(stringsAt + strings.length);
  const put = (at: number, value: number) => {
    if (bits === 64) file.writeBigUInt64LE(BigInt(value), at);
    else file.writeUInt32LE(value, at);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1]);
  file.writeUInt16LE(about.type ?? 3, 16);
  file.writeUInt16LE(about.machine, 18);
  file.writeUInt32LE(1, 20);
  put(24 + word, headerBytes);
  file.writeUInt16LE(headerBytes, bits === 64 ? 52 : 40);
  file.writeUInt16LE(programBytes, bits === 64 ? 54 : 42);
  file.writeUInt16LE(2, bits === 64 ? 56 : 44);
  const program = (index: number, type: number, offset: number, size: number) => {
    const at = headerBytes + index * programBytes;
    file.writeUInt32LE(type, at);
    const first = bits === 64 ? at + 8 : at + 4;
    // Offset, address, physical address, size in the file, in memory.
    for (const [i, value] of [offset, offset, offset, size, size].entries()) put(first + i * word, value);
  };
  program(0, 1, 0, file.length);
  program(1, 2, dynamicAt, 6 * word);
  const dynamic = [5, stringsAt, ...(about.soname === undefined ? [] : [14, 1]), 0, 0];
  for (const [index, value] of dynamic.entries()) put(dynamicAt + index * word, value);
  file.set(strings, stringsAt);
  return file;
}
