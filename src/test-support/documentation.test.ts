import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openSystem } from "../build/open-system.ts";
import { openCentre } from "../centre/open-centre.ts";
import { lowerSystem } from "../system/lower.ts";
import { projectFolder } from "./meso-process.ts";

// Inside the project, for its own name to resolve as it does for a person's program.
const cache = join(projectFolder, ".cache");
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, "documentation-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const programs = ["README.md", "docs/language.md", "docs/centres.md"].flatMap((page) =>
  examplesOf(readFileSync(join(projectFolder, page), "utf8")).map((text, i) => {
    const file = join(folder, `${page.replace(/\W/g, "-")}-${i + 1}.ts`);
    writeFileSync(file, text);
    return { name: `${page}, example ${i + 1}`, file };
  }),
);

describe("what the documents show", () => {
  it("is there at all", () => {
    assert.ok(programs.length >= 7, `${programs.length} examples`);
  });

  for (const { name, file } of programs) {
    it(`makes a system, or a centre of them: ${name}`, async () => {
      const systems = readFileSync(file, "utf8").includes("export default centre(")
        ? Object.values((await openCentre(file)).centre.machines).map(({ os }) => os)
        : [await openSystem(file)];
      for (const os of systems) assert.ok(lowerSystem(os).hostName);
    });
  }

  it("has the right types", () => {
    const options = { extends: "../../tsconfig.json", include: ["."] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(options));
    const { status, stdout } = typeCheck(folder);
    assert.equal(status, 0, stdout);
  });

  it("has the right types in a folder that is copied elsewhere, with its paths led here", () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "meso-elsewhere-"));
    try {
      const settings = readFileSync(join(projectFolder, "examples/tsconfig.json"), "utf8");
      writeFileSync(join(elsewhere, "tsconfig.json"), settings.replaceAll('"../', `"${projectFolder}`));
      writeFileSync(join(elsewhere, "mini-1.ts"), readFileSync(join(projectFolder, "examples/mini-1.ts")));
      const right = typeCheck(elsewhere);
      assert.equal(right.status, 0, right.stdout);
      writeFileSync(
        join(elsewhere, "wrong.ts"),
        'import { label } from "mesoforge";\nexport const wrong: number = label("x");\n',
      );
      assert.match(typeCheck(elsewhere).stdout, /^wrong\.ts\(2,/m);
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });
});

function examplesOf(page: string): string[] {
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);
}

function typeCheck(cwd: string): { status: number | null; stdout: string } {
  const tsc = join(projectFolder, "node_modules/.bin/tsc");
  return spawnSync(tsc, ["--noEmit", "-p", "."], { cwd, encoding: "utf8" });
}
