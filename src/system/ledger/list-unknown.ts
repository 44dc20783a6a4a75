import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recipesFor } from "./all-recipes.ts";
import { examineScripts, type ScriptedPackage } from "./examine-scripts.ts";

/**
 * For whoever keeps the ledger: `node src/system/ledger/list-unknown.ts FILE.deb...` prints what the maintainer
 * scripts of archives leave unexplained and no recipe acknowledges, with the digest that a recipe needs.
 */
function listUnknown(files: readonly string[]): void {
  let scripts = 0;
  let unknown = 0;
  for (const file of files) {
    const debian = readArchive(file);
    for (const examined of examineScripts(debian)) {
      scripts++;
      const isKnown = recipesFor(debian.name).some(({ residues }) => residues.includes(examined.residueSha256));
      if (examined.residue === "" || isKnown) continue;
      unknown++;
      console.log(`=== ${debian.name} ${examined.script} ${examined.residueSha256}\n${examined.residue}`);
    }
  }
  console.log(`${files.length} archives, ${scripts} scripts, ${unknown} unknown`);
}

const kinds = { d: "directory", l: "symlink", h: "hardlink" } as const;

function readArchive(file: string): ScriptedPackage {
  const folder = mkdtempSync(join(tmpdir(), "control-"));
  try {
    execFileSync("dpkg-deb", ["--control", file, folder]);
    const controlFiles = Object.fromEntries(
      readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]),
    );
    const listing = execFileSync("dpkg-deb", ["--contents", file], { encoding: "utf8", maxBuffer: 1 << 28 });
    const entries = listing.split("\n").flatMap((line) => {
      const match = /^(.)\S+\s+\S+\s+\d+\s+\S+\s+\S+\s+\.(.*?)(?: -> .*| link to .*)?$/.exec(line);
      if (!match) return [];
      const path = match[2]!.replace(/\/$/, "") || "/";
      return [{ path, kind: kinds[match[1] as keyof typeof kinds] ?? "file" } as const];
    });
    return { name: /^Package: (.*)$/m.exec(controlFiles.control ?? "")![1]!, controlFiles, entries };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

listUnknown(process.argv.slice(2));
