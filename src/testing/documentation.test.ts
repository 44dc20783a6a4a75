import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { projectFolder } from "../test-support/meso-process.ts";

const cache = join(projectFolder, ".cache");
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, "testing-page-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const page = readFileSync(join(projectFolder, "docs/testing.md"), "utf8");
const examples = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);

test("the story of docs/testing.md has the right types", () => {
  assert.equal(examples.length, 1);
  for (const [index, text] of examples.entries()) writeFileSync(join(folder, `story-${index}.ts`), text);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", include: ["."] }));
  const tsc = join(projectFolder, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(tsc, ["--noEmit", "-p", folder], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

test("a test anywhere finds mesoforge by the module that the page names", () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "meso-elsewhere-"));
  try {
    const file = join(elsewhere, "story.test.ts");
    const text = `import { test } from "node:test";
      import { label } from "mesoforge";
      import { withMachines } from "mesoforge/testing";
      test("found", () => { if (!label("x") || !withMachines) throw new Error(); });`;
    writeFileSync(file, text);
    const register = join(projectFolder, "src/testing/register.ts");
    const { status, stdout } = spawnSync(process.execPath, ["--import", register, "--test", file], {
      encoding: "utf8",
      // A test inside a test would only report to its parent.
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /pass 1/);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});
