import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../base/hash.ts";
import type { PackageIndex } from "./package-index.ts";
import { openPackageIndex } from "./package-index.ts";
import type { PackagesText } from "./package-index-writer.ts";
import { writePackageIndex } from "./package-index-writer.ts";

/** For tests only: the fields of an invented stanza; those that must be there are filled in. */
export type InventedPackage = Readonly<Record<string, string>> & { readonly Package: string };

/** The `Packages` text of invented packages. */
export function inventedText(packages: readonly InventedPackage[]): string {
  return packages.map((fields) => `${stanzaLines(fields).join("\n")}\n\n`).join("");
}

/** An index of invented packages: one suite "invented", or the texts given. */
export async function inventedIndex(
  content: readonly InventedPackage[] | { texts: PackagesText[] },
): Promise<PackageIndex> {
  const folder = mkdtempSync(join(tmpdir(), "meso-index-"));
  try {
    const file = join(folder, "index");
    await writePackageIndex(file, "texts" in content ? content.texts : [inventedSource(inventedText(content))]);
    return openPackageIndex(file);
  } finally {
    // An open file stays readable after its name is gone.
    rmSync(folder, { recursive: true });
  }
}

export function inventedSource(text: string | Uint8Array, suite = "invented"): PackagesText {
  return {
    text,
    archive: suite.endsWith("-security") ? "security" : "main",
    suite,
    component: "main",
    architecture: "amd64",
  };
}

function stanzaLines(given: InventedPackage): string[] {
  const { Package, Version = "1", Architecture = "amd64", ...others } = given;
  const name = `${Package}_${Version}_${Architecture}.deb`;
  const filled = { "Installed-Size": "3", Filename: `pool/${name}`, Size: "100", SHA256: sha256(name), ...others };
  return Object.entries({ Package, Version, Architecture, ...filled }).map(([field, value]) => `${field}: ${value}`);
}
