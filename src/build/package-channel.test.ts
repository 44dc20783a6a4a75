import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { rebuildReasons } from "../packages/why-rebuild.ts";
import { readDerivation } from "../store/realise.ts";
import { projectFolder } from "../test-support/meso-process.ts";
import { testSession } from "../test-support/test-session.ts";
import { openPackages } from "./open-packages.ts";
import { preparePackages } from "./package-graph.ts";

// The security update of the talks, on the channel of the examples.

const folder = mkdtempSync(join(tmpdir(), "meso-channel-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const example = join(projectFolder, "examples", "packages", "packages.ts");
const session = testSession();

async function lowered(file: string) {
  const { packages } = await openPackages(file);
  const { nodes, items } = await preparePackages(session, [...new Set(packages.values())]);
  return { items, path: (name: string) => nodes.get(packages.get(name)!)!.path, names: [...packages.keys()] };
}

test("two words are changed: exactly what depends on them is built anew, and the reason is told", async () => {
  const updated = join(folder, "packages.ts");
  cpSync(example, updated);
  const text = readFileSync(example, "utf8");
  const change = text.replace("export const pmix = pmix_4;", "export const pmix = pmix_5;");
  assert.notEqual(change, text);
  writeFileSync(updated, change);
  const [before, after] = [await lowered(example), await lowered(updated)];
  assert.deepEqual(
    before.names.filter((name) => before.path(name) !== after.path(name)),
    ["pmix", "slurm"],
  );
  assert.equal(after.path("pmix"), before.path("pmix_5"));
  const nameOf = (path: string) => path.replace(/^.*\/[a-z0-9]{32}-/, "").replace(/\.drv$/, "");
  const reasons = rebuildReasons(
    before.path("slurm"),
    after.path("slurm"),
    (path) => readDerivation(before.items, path),
    nameOf,
  );
  assert.deepEqual(
    reasons.slice(0, 1).map(({ chain, what }) => `${chain.join(" ← ")}: ${what}`),
    ["slurm-24.11.5: pmix-4.2.2 becomes pmix-5.0.7"],
  );
  assert.ok(reasons.some(({ what }) => what === "version: 4.2.2 becomes 5.0.7"));
});

test("every package has a way back to archives that a signed index lists", async () => {
  const { packages } = await openPackages(example);
  const { graph, nodes } = await preparePackages(session, [...new Set(packages.values())]);
  const leaves = new Set<string>();
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const { builder, inputDerivations, outputs } = graph.read(path);
    if (inputDerivations.size === 0) {
      leaves.add(builder);
      assert.ok(
        [...outputs.values()].every(({ fixed }) => fixed !== undefined),
        path,
      );
    }
    for (const input of inputDerivations.keys()) visit(input);
  };
  for (const { path } of nodes.values()) visit(path);
  assert.deepEqual([...leaves], ["builtin:fetch-url"]);
});
