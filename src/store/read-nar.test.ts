import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { narHash, writeNar } from "./nar.ts";
import { restoreNar } from "./restore-nar.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-read-nar-"));
after(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

function archive(path: string): Buffer {
  const pieces: Uint8Array[] = [];
  writeNar(path, (piece) => pieces.push(Uint8Array.from(piece)));
  return Buffer.concat(pieces);
}

function cut(bytes: Uint8Array, step: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / step);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * step, (i + 1) * step));
}

mkdirSync(at("tree", "deep", "er"), { recursive: true });
writeFileSync(at("tree", "run"), "#!/bin/sh\n", { mode: 0o755 });
writeFileSync(at("tree", "größe"), Buffer.alloc(100_003, "0123456789"));
writeFileSync(at("tree", "deep", "empty"), "");
symlinkSync("../run", at("tree", "deep", "link"));
chmodSync(at("tree", "deep"), 0o700);
const whole = archive(at("tree"));

test("a tree comes back as it was, whatever the pieces, read-only and without times", async () => {
  for (const step of [1, 7, 4096, whole.length]) {
    const target = at(`restored-${step}`);
    assert.deepEqual(await restoreNar(cut(whole, step), target), narHash(at("tree")));
    assert.deepEqual(narHash(target), narHash(at("tree")));
    const modes = [".", "run", "größe", "deep/er"].map((name) => lstatSync(join(target, name)).mode & 0o7777);
    assert.deepEqual(modes, [0o555, 0o555, 0o444, 0o555]);
    for (const name of [".", "run", "deep/link"]) assert.equal(lstatSync(join(target, name)).mtimeMs, 1000);
    assert.equal(readFileSync(join(target, "deep/link"), "utf8"), "#!/bin/sh\n");
  }
  for (const single of ["tree/run", "tree/deep/link"]) {
    const target = at(`single-${single.replaceAll("/", "-")}`);
    assert.deepEqual(await restoreNar([archive(at(single))], target), narHash(at(single)));
  }
});

test("a cut or lengthened archive is refused", async () => {
  const small = archive(at("tree", "deep"));
  for (let length = 0; length < small.length; length++) {
    await refused(small.subarray(0, length), `cut to ${length}`);
  }
  await refused(Buffer.concat([small, Buffer.of(0)]), "longer");
});

/** An archive in words: numbers and other texts as they are. */
function nar(...words: readonly string[]): Buffer {
  return Buffer.concat(
    words.map((word) => {
      const bytes = Buffer.from(word, "latin1");
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return Buffer.concat([length, bytes, Buffer.alloc(-bytes.length & 7)]);
    }),
  );
}

const file = ["(", "type", "regular", "contents", "x", ")"];
const entry = (name: string) => ["entry", "(", "name", name, "node", ...file, ")"];
const directory = (...names: string[]) => nar("nix-archive-1", "(", "type", "directory", ...names.flatMap(entry), ")");

test("names that climb out, repeat or are out of order are refused, and leave nothing outside", async () => {
  const target = at("fine");
  await restoreNar([directory("a", "b")], target);
  for (const names of [
    [""],
    ["."],
    [".."],
    ["../escaped"],
    ["a/b"],
    ["a\0"],
    ["b", "a"],
    ["a", "a"],
    ["\xff"],
    ["n".repeat(256)],
  ]) {
    await refused(directory(...names), JSON.stringify(names));
  }
  assert.equal(existsSync(at("escaped")), false);
  await refused(nar("nix-archive-2", ...file), "magic");
  await refused(nar("nix-archive-1", "(", "type", "device", ")"), "type");
  await refused(nar("nix-archive-1", "(", "type", "symlink", "target", "", ")"), "no target");
  await refused(nar("nix-archive-1", "(", "type", "regular", "executable", "yes", "contents", "x", ")"), "executable");
  const nested = Array.from({ length: 3000 }, () => ["(", "type", "directory", "entry", "(", "name", "d", "node"]);
  await refused(nar("nix-archive-1", ...nested.flat()), "depth");
  const absurd = nar("nix-archive-1", "(", "type", "regular", "contents", "x", ")");
  absurd.fill(0xff, absurd.indexOf("contents") + 8, absurd.indexOf("contents") + 16);
  await refused(absurd, "size");
  const padded = nar("nix-archive-1", ...file);
  padded[padded.indexOf("x", padded.indexOf("contents") + 8) + 1] = 1;
  await refused(padded, "padding");
});

test("any flipped byte is refused, or is another archive", async () => {
  const small = archive(at("tree", "deep"));
  await fc.assert(
    fc.asyncProperty(fc.nat(small.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
      const changed = Buffer.from(small);
      changed[position]! ^= flip;
      const target = mkdtempSync(at("flip-"));
      const path = join(target, "item");
      const result = await restoreNar([changed], path).catch((error: { code?: string }) => error);
      if ("sha256" in result) assert.deepEqual(narHash(path), result);
      else assert.equal(result.code, "bad-nar");
    }),
    { numRuns: 300 },
  );
});

let attempts = 0;
async function refused(bytes: Uint8Array, what: string): Promise<void> {
  await assert.rejects(restoreNar(cut(bytes, 1000), at(`refused-${attempts++}`)), { code: "bad-nar" }, what);
}
