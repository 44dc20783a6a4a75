import assert from "node:assert/strict";
import { test } from "node:test";
import { derivationGraph, type GraphNode } from "./derivation-graph.ts";
import { lowerFetch } from "./lower-debian.ts";
import { rebuildReasons } from "./why-rebuild.ts";

const nameOf = (path: string) => path.replace(/^.*?\/[^/]*?-/, "").replace(/\.drv$/, "");

function chain(version: string, flag: string) {
  const graph = derivationGraph("x86_64-linux");
  const fetch = (name: string) =>
    lowerFetch(graph, { name, urls: ["file:/x"], sha256: version.padEnd(64, "0").replaceAll(".", "a") });
  const sources = [`lib_${version}.orig.tar.xz`, `lib_${version}-1.debian.tar.xz`].map(fetch);
  const make = (name: string, inputs: readonly GraphNode[], text: string) =>
    graph.add(name, {
      inputs: inputs.map((node) => ({ node })),
      builder: "/bin/sh",
      arguments: [[text, ...inputs.map((node) => node.out())].join("\n")],
    });
  const lib = make(`lib-${version}`, sources, `build ${flag}`);
  return { graph, top: make("top-1", [lib], "build") };
}

test("what has changed is told where it has, not where it merely arrives", () => {
  const [old, newer] = [chain("1.0", "-a"), chain("1.1", "-b")];
  const read = (path: string) => (old.graph.derivations.has(path) ? old : newer).graph.read(path);
  const reasons = rebuildReasons(old.top.path, newer.top.path, read, nameOf).map(
    ({ chain, what }) => `${chain[0]} ${chain.length} ${what}`,
  );
  assert.ok(reasons.includes("top-1 1 lib-1.0 becomes lib-1.1"), reasons.join("\n"));
  assert.ok(reasons.includes("top-1 2 lib_1.0.orig.tar.xz becomes lib_1.1.orig.tar.xz"), reasons.join("\n"));
  assert.ok(reasons.includes("top-1 2 script with: build -b"), reasons.join("\n"));
  assert.ok(!reasons.some((reason) => /^top-1 1 script/.test(reason)), reasons.join("\n"));
  assert.deepEqual(rebuildReasons(old.top.path, old.top.path, read, nameOf), []);
});
