import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

/** The rooms of the house: each imports only from itself and from those before it (docs/architecture.md). */
const rooms = [
  "base",
  "language",
  "store",
  "debian",
  "packages",
  "system",
  "services",
  "image",
  "build",
  "pools",
  "hypervisors",
  "centre",
  "simulation",
  "testing",
  "cli",
  "test-support",
];

const source = dirname(fileURLToPath(import.meta.url));
const project = dirname(source);

describe("the house is tidy", () => {
  it("imports only downwards", () => {
    const wrong = sourceFiles()
      .filter((file) => !isTest(file))
      .flatMap((file) => importsOf(file).flatMap((target) => upwardImport(file, target)));
    assert.deepEqual(wrong, []);
  });

  it("ships nothing that tests need", () => {
    const wrong = sourceFiles()
      .filter((file) => !isTest(file))
      .flatMap((file) => importsOf(file).map((target) => ({ file: inProject(file), target })))
      .filter(({ target }) => isTest(target));
    assert.deepEqual(wrong, []);
    const hidden = sourceFiles().filter((file) => /\/testing\//.test(relative(source, file)));
    assert.deepEqual(hidden.map(inProject), []);
  });

  it("has every file in a room", () => {
    const homeless = sourceFiles().filter((file) => roomOf(file) === undefined && dirname(file) !== source);
    assert.deepEqual(homeless.map(inProject), []);
  });

  it("has no circular imports", () => {
    // Types may name each other (a system has services, a service sees its system): they are gone when Node loads.
    const graph = new Map(sourceFiles().map((file) => [file, importsOf(file, runTimeImports(file))]));
    assert.deepEqual(findCycle(graph).map(inProject), []);
  });

  it("imports from other packages only what package.json declares for use at run time", () => {
    const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    const declared = new Set([...Object.keys(manifest.dependencies), manifest.name]);
    const undeclared = sourceFiles()
      .filter((file) => !isTest(file))
      .flatMap((file) => specifiersOf(file).map((specifier) => ({ file: inProject(file), specifier })))
      .filter(({ specifier }) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter(({ specifier }) => !declared.has(specifier.split("/")[0]!));
    assert.deepEqual(undeclared, []);
  });

  it("names no package mirror", () => {
    const configured = spawnSync("sh", ["-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null"], {
      encoding: "utf8",
    }).stdout;
    const hosts = [...new Set([...configured.matchAll(/https?:\/\/([^/\s]+)/g)].map((match) => match[1]!))];
    const naming = trackedFiles().filter((file) => {
      const text = readFileSync(join(project, file), "utf8");
      return hosts.some((host) => text.includes(host));
    });
    assert.deepEqual(naming, []);
  });

  it("keeps files short enough to be one story", () => {
    const long = sourceFiles()
      .filter((file) => !isTest(file))
      .filter((file) => readFileSync(file, "utf8").split("\n").length > 420);
    assert.deepEqual(long.map(inProject), []);
  });
});

function sourceFiles(): string[] {
  return readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join(source, file))
    .sort();
}

function trackedFiles(): string[] {
  return spawnSync("git", ["ls-files", "-z"], { cwd: project, encoding: "utf8" }).stdout.split("\0").filter(Boolean);
}

/** Tests, what helps the tests of one folder (`*.testing.ts` beside them), and the room of what helps many. */
function isTest(file: string): boolean {
  return /\.(test|testing)\.ts$/.test(file) || roomOf(file) === "test-support";
}

function inProject(file: string): string {
  return relative(project, file);
}

function roomOf(file: string): string | undefined {
  const room = relative(source, file).split("/")[0]!;
  return rooms.includes(room) ? room : undefined;
}

function specifiersOf(file: string, text = readFileSync(file, "utf8")): string[] {
  const statements = text.matchAll(
    /^(?:import|export)\b[^;"']*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gms,
  );
  return [...statements].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

function runTimeImports(file: string): string {
  return readFileSync(file, "utf8").replace(/^(?:import|export) type\b[^;]*;/gms, "");
}

function importsOf(file: string, text?: string): string[] {
  return specifiersOf(file, text)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => join(dirname(file), specifier));
}

function upwardImport(from: string, to: string): string[] {
  const importer = roomOf(from);
  const imported = roomOf(to);
  if (importer === undefined) return [];
  const allowed = imported !== undefined && rooms.indexOf(imported) <= rooms.indexOf(importer);
  return allowed ? [] : [`${inProject(from)} imports ${inProject(to)}`];
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];
  const visit = (file: string): string[] => {
    if (state.get(file) === "done") return [];
    if (state.get(file) === "open") return [...path.slice(path.indexOf(file)), file];
    state.set(file, "open");
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle.length > 0) return cycle;
    }
    path.pop();
    state.set(file, "done");
    return [];
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
