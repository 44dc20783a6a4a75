import assert from "node:assert/strict";
import { test } from "node:test";
import { fixedOutputPath, sourcePath, textPath } from "./store-path.ts";

const nix = "/nix/store";

test("paths are those of Nix (vectors of tvix and go-nix)", () => {
  const foo = textPath("foo", "bar", [], nix);
  assert.equal(foo, `${nix}/vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo`);
  assert.equal(textPath("baz", foo, [foo], nix), `${nix}/5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz`);
  assert.equal(
    fixedOutputPath(
      "bar",
      { recursive: true, algorithm: "sha1", digest: "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33" },
      nix,
    ),
    `${nix}/mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar`,
  );
  const digest = "08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba";
  const bar = `${nix}/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar`;
  assert.equal(fixedOutputPath("bar", { recursive: true, algorithm: "sha256", digest }, nix), bar);
  assert.equal(sourcePath("bar", digest, [], nix), bar);
});

test("references count as a set, the prefix is part of the hash", () => {
  assert.equal(textPath("a", "x", ["/b", "/a"]), textPath("a", "x", ["/a", "/b"]));
  assert.notEqual(textPath("a", "x", ["/b"]), textPath("a", "x"));
  assert.ok(textPath("a", "x").startsWith("/meso/store/"));
  assert.notEqual(textPath("a", "x").slice(-34), textPath("a", "x", [], nix).slice(-34));
});

test("names that no path can hold are refused", () => {
  for (const name of ["", ".hidden", "a/b", "a b", "é", "a".repeat(212)]) {
    assert.throws(() => textPath(name, ""), { code: "bad-store-name" }, name);
  }
});
