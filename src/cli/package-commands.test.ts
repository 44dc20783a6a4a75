import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runMeso } from "../test-support/meso-process.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-packages-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const repository = join(folder, "upstream");
mkdirSync(repository);
const git = (...words: string[]) => execFileSync("git", ["-C", repository, ...words], { encoding: "utf8" }).trim();
git("init", "--quiet");
git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--allow-empty", "--message=first");
for (const tag of ["v1.0", "v1.2", "v1.10-rc1", "nightly"]) git("tag", tag);

writeFileSync(
  join(folder, "packages.ts"),
  `import { gitCommit, localPath, sourcePackage, trivial } from "mesoforge/packages";

const common = { version: "1.0", buildSystem: trivial("mkdir $out"), synopsis: "something", licence: "MIT" };
const source = gitCommit({ url: ${JSON.stringify(repository)}, commit: "${"0".repeat(40)}", sha256: "${"0".repeat(64)}" });
export const tagged = sourcePackage({ ...common, name: "tagged", source, homePage: "https://example.org/" });

export const beside = sourcePackage({
  ...common,
  name: "beside",
  source: localPath(".", import.meta.url),
  homePage: "nowhere",
});
export const lost = sourcePackage({
  ...common,
  name: "lost",
  source: gitCommit({ url: "/nowhere/at/all", commit: "${"0".repeat(40)}", sha256: "${"0".repeat(64)}" }),
});
`,
);

const meso = (words: readonly string[], env: Record<string, string | undefined> = {}) =>
  runMeso(words, { store: join(folder, "store"), cwd: folder, env: { VISUAL: undefined, EDITOR: undefined, ...env } });

test("newer versions are told, of each package; one whose origin says nothing keeps no other from it", async () => {
  const run = await meso(["refresh", "packages.ts", "--json"]);
  const told = JSON.parse(run.stdout) as { name: string; newer?: string; failed?: boolean; where: string }[];
  const byName = new Map(told.map((one) => [one.name, one]));
  assert.equal(byName.get("tagged")?.newer, "1.10-rc1");
  assert.equal(byName.get("beside")?.newer, undefined);
  assert.equal(byName.get("lost")?.failed, true);
  assert.match(byName.get("lost")!.where, /\/nowhere\/at\/all/);
  assert.equal(run.code, 1);
  assert.equal((await meso(["refresh", "tagged"])).stdout, `tagged 1.0: 1.10-rc1 among the tags of ${repository}\n`);
});

test("the editor is opened where a package is made; without one, the place is told", async () => {
  assert.equal((await meso(["edit", "beside"])).stdout, "packages.ts:7:23\n");
  assert.equal((await meso(["edit", "beside"], { VISUAL: "echo -n" })).stdout, `+7 ${join(folder, "packages.ts")}`);
  assert.equal((await meso(["edit", "beside"], { EDITOR: "false" })).code, 1);
});

test("packages are looked at by what their records say", async () => {
  const run = await meso(["lint", "packages.ts"]);
  assert.equal(run.code, 1);
  assert.match(run.stdout, /^error: packages\.ts:7:23: beside 1\.0: "nowhere" is no address \[home-page\]$/m);
  assert.match(run.stdout, /^3 packages: 1 errors, 0 warnings, 1 notes$/m);
  assert.equal((await meso(["lint", "packages.ts#tagged"])).code, 0);
});
