import { formatBytes } from "../base/progress.ts";
import { planFetch } from "../build/fetch-archives.ts";
import { allPackages, type PreparedSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import type { CommandContext } from "./command.ts";

/** Says what a build would fetch and import, with sizes, and changes nothing. */
export function printDryRun(context: CommandContext, session: BuildSession, prepared: PreparedSystem): void {
  const plan = planFetch(session, allPackages(prepared));
  const sizes = {
    systemHash: prepared.systemHash,
    packages: prepared.packages.length,
    fetch: { archives: plan.fetch.length, bytes: total(plan.fetch, "size") },
    import: { archives: plan.import.length, installedBytes: total(plan.import, "installedSize") },
  };
  if (context.json) {
    context.print(JSON.stringify({ ...sizes, archives: plan.fetch.map(brief) }, undefined, 2));
    return;
  }
  context.print(`system ${prepared.systemHash}, ${sizes.packages} packages`);
  context.print(`would fetch ${sizes.fetch.archives} archives, ${formatBytes(sizes.fetch.bytes)}`);
  if (context.verbose) {
    for (const one of plan.fetch) context.print(`  ${one.name} ${one.version} ${formatBytes(one.size)}`);
  }
  context.print(
    `would import ${sizes.import.archives} archives, about ${formatBytes(sizes.import.installedBytes)} of files`,
  );
}

function total(packages: readonly ResolvedPackage[], key: "size" | "installedSize"): number {
  return packages.reduce((sum, one) => sum + one[key], 0);
}

function brief({ name, version, architecture, size, sha256 }: ResolvedPackage): object {
  return { name, version, architecture, size, sha256 };
}
