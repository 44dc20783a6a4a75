import { failure } from "../../base/error.ts";
import { formatBytes } from "../../base/progress.ts";
import { openChannel } from "../../build/channel.ts";
import { hostArchitecture } from "../../build/host-architecture.ts";
import type { PackageIndex, PackageVersion } from "../../debian/package-index.ts";
import { formatRelationGroup } from "../../debian/relation.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { folderSession } from "../program-session.ts";

const channelOptions = {
  suite: { type: "string", placeholder: "NAME", description: "suite of Debian (default: trixie)" },
  architecture: { type: "string", placeholder: "NAME", description: "Debian architecture (default: this machine's)" },
  lock: programOptions.lock,
} as const;

export const packagesSearch: Command = {
  positionals: "TERM…",
  minimumPositionals: 1,
  maximumPositionals: 20,
  options: channelOptions,
  examples: ["packages search slurm", "packages search time series postgresql"],
  async run(context) {
    const hits = (await openIndex(context)).search(context.positionals);
    if (context.json) return void context.print(JSON.stringify(hits, undefined, 2));
    for (const { name, version, synopsis } of hits)
      context.print(`${name.padEnd(32)} ${version.padEnd(24)} ${synopsis}`);
    if (hits.length === 0) throw failure("no-match", `no package matches ${context.positionals.join(" ")}`);
    return undefined;
  },
};

export const packagesShow: Command = {
  positionals: "NAME…",
  minimumPositionals: 1,
  maximumPositionals: 20,
  options: channelOptions,
  examples: ["packages show chrony", "packages show --suite bookworm slurmctld"],
  async run(context) {
    const index = await openIndex(context);
    const found = context.positionals.map((name) => ({
      name,
      versions: index.versions(name),
      providers: index.providers(name),
    }));
    for (const { name, versions, providers } of found) {
      if (versions.length > 0 || providers.length > 0) continue;
      const near = index.nearestNames(name, 3);
      throw failure(
        "unknown-package",
        `no package is named ${name}`,
        near.length > 0 ? { hint: `did you mean ${near.join(", ")}?` } : {},
      );
    }
    if (context.json)
      return void context.print(
        JSON.stringify(
          found.flatMap(({ versions }) => versions),
          undefined,
          2,
        ),
      );
    const blocks = found.map(({ name, versions, providers }) =>
      versions.length > 0
        ? versions.map(showVersion).join("\n\n")
        : `${name} is provided by ${[...new Set(providers.map((provider) => provider.name))].join(", ")}`,
    );
    context.print(blocks.join("\n\n"));
    return undefined;
  },
};

async function openIndex(context: CommandContext): Promise<PackageIndex> {
  const { suite, architecture } = context.options;
  const channel = await openChannel(folderSession(context), {
    suite: typeof suite === "string" ? suite : "trixie",
    components: ["main"],
    architectures: [typeof architecture === "string" ? architecture : hostArchitecture()],
    updates: true,
    security: true,
  });
  return channel.index();
}

function showVersion(version: PackageVersion): string {
  const relations = (label: string, groups: PackageVersion["depends"]): string[] =>
    groups.length > 0 ? [`${label.padEnd(13)}${groups.map(formatRelationGroup).join(", ")}`] : [];
  return [
    `name         ${version.name}`,
    `version      ${version.version} (${version.sources.map(({ suite }) => suite).join(", ")})`,
    `architecture ${version.architecture}`,
    `size         ${formatBytes(version.size)} to fetch, ${formatBytes(version.installedSize)} unpacked`,
    ...relations("pre-depends", version.preDepends),
    ...relations("depends", version.depends),
    `sha256       ${version.sha256}`,
  ].join("\n");
}
