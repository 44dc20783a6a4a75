import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../src/base/hash.ts";
import type { ResolvedSystem } from "../src/build/prepare.ts";
import type { BuildSession } from "../src/build/session.ts";
import type { ResolvedPackage } from "../src/debian/resolve.ts";
import { systemHash } from "../src/system/manifest-hash.ts";

/**
 * The systems as they are after a security update of one of their packages: a new archive, put into the store beside
 * the old one, in which one file has a line more and the version is higher.
 */
export function withUpdatedPackage(
  session: BuildSession,
  systems: ReadonlyMap<string, ResolvedSystem>,
  update: { readonly name: string; readonly file: string },
): ReadonlyMap<string, ResolvedSystem> {
  const before = [...systems.values()].flatMap(({ packages }) => packages).find(({ name }) => name === update.name);
  if (!before) throw new Error(`no system has ${update.name}`);
  const after = updatedPackage(session, before, update.file);
  const updated = (some: readonly ResolvedPackage[]) => some.map((one) => (one.sha256 === before.sha256 ? after : one));
  return new Map(
    [...systems].map(([key, system]) => {
      const packages = updated(system.packages);
      const bootPackages = updated(system.bootPackages);
      const toolPackages = updated(system.toolPackages);
      const all = new Map([...packages, ...bootPackages, ...toolPackages].map((one) => [one.sha256, one]));
      const hash = systemHash(system.manifest, [...all.values()]);
      return [key, { ...system, packages, bootPackages, toolPackages, systemHash: hash }];
    }),
  );
}

function updatedPackage({ store }: BuildSession, before: ResolvedPackage, file: string): ResolvedPackage {
  const folder = mkdtempSync(join(tmpdir(), "meso-bench-update-"));
  const [tree, archive] = [join(folder, "tree"), join(folder, "new.deb")];
  const version = `${before.version}+update`;
  try {
    execFileSync("dpkg-deb", ["-R", store.archivePath(before.sha256), tree]);
    appendFileSync(join(tree, file), "\n");
    const control = join(tree, "DEBIAN", "control");
    writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: .*$/m, `Version: ${version}`));
    const env = { ...process.env, SOURCE_DATE_EPOCH: "1" };
    execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", "-b", tree, archive], { env, stdio: "ignore" });
    const digest = sha256(readFileSync(archive));
    copyFileSync(archive, store.archivePath(digest));
    return { ...before, version, sha256: digest, size: statSync(archive).size };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
