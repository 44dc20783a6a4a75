import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { toBase32 } from "./base32.ts";
import { narHash } from "./nar.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-nar-"));
after(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

test("hashes and sizes are those of other implementations (vectors of tvix)", () => {
  writeFileSync(at("hello"), "Hello World!", { mode: 0o644 });
  writeFileSync(at("empty"), "", { mode: 0o644 });
  mkdirSync(at("none"));
  symlinkSync("/nix/store/somewhereelse", at("link"));
  mkdirSync(at("tree", "keep"), { recursive: true });
  writeFileSync(at("tree", ".keep"), "");
  writeFileSync(at("tree", "keep", ".keep"), "");
  symlinkSync("/nix/store/somewhereelse", at("tree", "aa"));
  const expected: readonly [string, number, string][] = [
    ["hello", 128, "03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040"],
    ["link", 136, "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"],
    ["tree", 840, "ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a"],
    ["none", 96, "a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a"],
    ["empty", 112, "77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246"],
  ];
  for (const [name, size, sha256] of expected) assert.deepEqual(narHash(at(name)), { sha256, size }, name);
});

test("entries are in byte order (vector of Guix)", () => {
  mkdirSync(at("order"));
  for (const name of ["a", "B", "Z"]) writeFileSync(at("order", name), "");
  symlinkSync("B", at("order", "z"));
  const digest = toBase32(Buffer.from(narHash(at("order")).sha256, "hex"));
  assert.equal(digest, "0sfn5r63k88w9ls4hivnvscg82bqg8a0w7955l6xlk4g96jnb2z3");
});

test("the owner's execute bit counts, other modes do not", () => {
  writeFileSync(at("x"), "Hello World!", { mode: 0o755 });
  assert.equal(narHash(at("x")).size, 128 + 16 + 16 + 0);
  writeFileSync(at("group"), "Hello World!", { mode: 0o674 });
  assert.equal(narHash(at("group")).sha256, narHash(at("hello")).sha256);
});
