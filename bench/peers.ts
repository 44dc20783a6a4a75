import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { PreparedSystem } from "../src/build/prepare.ts";
import type { BuildSession } from "../src/build/session.ts";
import { type Cost, measure } from "./measure.ts";

/** A flat repository of exactly the archives of a system, for peers that take packages from one. */
export async function writeRepository(session: BuildSession, prepared: PreparedSystem, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const index = await prepared.channel.index();
  const stanzas: string[] = [];
  for (const { name, version, architecture, sha256 } of prepared.packages) {
    const file = `${name}_${architecture}.deb`;
    copyFileSync(session.store.archivePath(sha256), join(folder, file));
    const found = index.versions(name).find((one) => one.version === version && one.architecture === architecture);
    const fields = new Map([...found!.stanza.fields, ["Filename", `./${file}`]]);
    stanzas.push([...fields].map(([field, value]) => `${field}: ${value}`).join("\n"));
  }
  writeFileSync(join(folder, "Packages"), `${stanzas.join("\n\n")}\n`);
}

/** mmdebstrap with the same packages, scripts and all, and its tree in an ext4 image by mke2fs. */
export function runMmdebstrap(prepared: PreparedSystem, repository: string, folder: string): Cost {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const names = prepared.packages.map(({ name }) => name).join(",");
  const tree = join(folder, "tree.tar");
  const image = join(folder, "root.ext4");
  const script = [
    "set -e",
    `mmdebstrap --quiet --mode=root --variant=custom --include='${names}' '' '${tree}' 'deb [trusted=yes] copy:${repository} ./'`,
    `mkdir '${folder}/tree'`,
    `tar -C '${folder}/tree' -xf '${tree}'`,
    `mke2fs -q -t ext4 -d '${folder}/tree' '${image}' 1G`,
  ].join("\n");
  return measure(["sh", "-c", script], { env: { SOURCE_DATE_EPOCH: "1" } });
}

/** The physical limit of a first build: every archive's contents decompressed to nothing, on all processors. */
export function runXz(session: BuildSession, prepared: PreparedSystem): Cost {
  const files = prepared.packages.map(({ sha256 }) => session.store.archivePath(sha256)).join("\n");
  const each = 'ar p "$1" "$(ar t "$1" | grep ^data.tar)" | xz -dc >/dev/null';
  return measure(["sh", "-c", `printf '%s\\n' "$FILES" | xargs -n 1 -P ${availableParallelism()} sh -c '${each}' sh`], {
    env: { FILES: files },
  });
}
