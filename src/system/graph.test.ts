import assert from "node:assert/strict";
import { test } from "node:test";
import { label } from "../language/device.ts";
import { fileSystem } from "../language/file-system.ts";
import { defineOperatingSystem } from "../language/operating-system.ts";
import { extend, serviceType, simpleService } from "../language/service-type.ts";
import { profile } from "./essential-profile.ts";
import { renderGraphviz, renderMermaid, serviceGraph } from "./graph.ts";

const helper = serviceType<{ a?: number }, string>({
  name: "helper",
  description: 'Helps with "quotes".',
  options: { a: "" },
  defaults: { a: 1 },
  extend: (options) => options,
  extensions: [extend(profile, () => ["jq"])],
});

const os = defineOperatingSystem({ packages: [], services: [] })({
  hostName: "a",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" })],
  services: [simpleService("mine", helper, "x")],
});

test("the graph tells listed, essential and made up services apart", () => {
  const { nodes, edges } = serviceGraph(os);
  const kinds = Object.fromEntries(nodes.map(({ name, kind }) => [name, kind]));
  assert.deepEqual(
    [kinds.mine, kinds.helper, kinds.profile, kinds.system],
    ["listed", "default", "essential", "essential"],
  );
  assert.ok(edges.some(({ from, to }) => from === "mine" && to === "helper"));
  assert.match(nodes.find(({ name }) => name === "mine")?.where?.file ?? "", /graph\.test\.ts$/);
});

test("every service reaches the root", () => {
  const { nodes, edges } = serviceGraph(os);
  const reached = new Set(["system"]);
  for (let before = -1; before !== reached.size; ) {
    before = reached.size;
    for (const { from, to } of edges) if (reached.has(to)) reached.add(from);
  }
  assert.deepEqual(
    nodes.map(({ name }) => name).filter((name) => !reached.has(name)),
    [],
  );
});

test("both drawings have every node and edge", () => {
  const graph = serviceGraph(os);
  const dot = renderGraphviz(graph);
  assert.match(dot, /^digraph services \{\n/);
  assert.ok(dot.includes('"mine" -> "helper";'));
  assert.ok(dot.includes('tooltip="Helps with \\"quotes\\"."'));
  assert.equal(dot.match(/->/g)?.length, graph.edges.length);
  const mermaid = renderMermaid(graph);
  assert.match(mermaid, /^flowchart LR\n/);
  assert.equal(mermaid.match(/-->/g)?.length, graph.edges.length);
  assert.equal(mermaid.split("\n").length, 1 + graph.nodes.length + graph.edges.length + 1);
});
