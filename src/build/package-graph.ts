import { existsSync } from "node:fs";
import { basename } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { failure } from "../base/error.ts";
import { onceForEach } from "../base/once-for-each.ts";
import type { ChannelRequest } from "../debian/indices.ts";
import { readIndex } from "../debian/indices.ts";
import { findSources, type IndexedSource, type SourcesText, upstreamVersion } from "../debian/source-index.ts";
import { compareVersions } from "../debian/version.ts";
import type { Channel } from "../language/channel.ts";
import { locationOf } from "../language/record.ts";
import { addGraph, storeName } from "../packages/derivation-graph.ts";
import type { DebianArchive } from "../packages/lower-debian.ts";
import { debianNames, type LoweredPackages, lowerPackages, originOf, seedNames } from "../packages/lower-package.ts";
import type { DebianOrigin } from "../packages/origin.ts";
import { packageGraph, type SourcePackage } from "../packages/source-package.ts";
import { type Items, openItems } from "../store/items.ts";
import { openChannel, pinnedSuites } from "./channel.ts";
import { hostArchitecture } from "./host-architecture.ts";
import type { BuildSession } from "./session.ts";

/** Packages as derivations in the store: everything is known, nothing is built. */
export interface PreparedPackages extends LoweredPackages {
  readonly items: Items;
}

/**
 * Looks up what packages need in their channels, lowers them and writes their derivations into the store.
 *
 * @throws MesoError with every mistake of the records; those of channels and of resolving; `unknown-source`.
 */
export async function preparePackages(
  session: BuildSession,
  wanted: readonly SourcePackage[],
): Promise<PreparedPackages> {
  const items = openItems(session.store);
  const lookUp = lookUps(session);
  const closures = new Map<string, readonly DebianArchive[]>();
  const sources = new Map<string, IndexedSource>();
  const locals = new Map<string, string>();
  for (const one of packageGraph(wanted)) {
    for (const names of [seedNames, debianNames(one)]) {
      closures.set(keyOf(one.channel, names), await lookUp.closure(one.channel, names));
    }
    const origin = originOf(one);
    if (origin?.kind === "debian-source") {
      sources.set(keyOf(one.channel, origin), await lookUp.source(origin, one.channel));
    }
    if (origin?.kind !== "local" || locals.has(origin.path)) continue;
    if (!existsSync(origin.path)) {
      const where = locationOf(origin);
      throw failure("no-such-file", `${origin.path} is not there`, { ...(where && { where }) });
    }
    locals.set(origin.path, await items.addTree(storeName(basename(origin.path)), origin.path));
  }
  const lowered = lowerPackages(wanted, {
    system: systemName(),
    debianPackages: (channel, names) => closures.get(keyOf(channel, names))!,
    debianSource: (origin, channel) => sources.get(keyOf(channel, origin))!,
    localSource: (path) => locals.get(path)!,
  });
  await addGraph(items, lowered.graph);
  return { ...lowered, items };
}

/** Every version of a Debian source package that channels have, the highest first. */
export function sourceLookUp(
  session: BuildSession,
): (name: string, channels: readonly Channel[]) => Promise<IndexedSource[]> {
  const textsOf = onceForEach((request: ChannelRequest) => sourcesTexts(session, request));
  return async (name, channels) => {
    const found: IndexedSource[] = [];
    for (const one of channels) {
      for (const text of await textsOf(requestFor(one, "source"))) found.push(...findSources(text, name));
    }
    return found;
  };
}

/** As derivations name the machine: `x86_64-linux`. */
export function systemName(): string {
  const names: Partial<Record<string, string>> = {
    x64: "x86_64",
    arm64: "aarch64",
    riscv64: "riscv64",
    ppc64: "powerpc64le",
  };
  return `${names[process.arch] ?? process.arch}-linux`;
}

function lookUps(session: BuildSession) {
  const channelOf = onceForEach((request: ChannelRequest) => openChannel(session, request));
  const sourcesOf = sourceLookUp(session);
  return {
    async closure(channel: Channel, names: readonly string[]): Promise<readonly DebianArchive[]> {
      const opened = await channelOf(requestFor(channel, hostArchitecture()));
      const { packages } = await opened.resolve({
        install: names.map((name) => ({ name })),
        architecture: hostArchitecture(),
        includeEssential: false,
        prefer: { awk: "mawk", usrmerge: "usr-is-merged" },
      });
      return packages;
    },
    async source(origin: DebianOrigin, built: Channel): Promise<IndexedSource> {
      const channels = origin.channels ?? [built];
      const all = await sourcesOf(origin.name, channels);
      const { version } = origin;
      const found = all.filter(
        (one) => version === undefined || one.version === version || upstreamVersion(one.version) === version,
      );
      if (found[0]) return found.reduce((best, one) => (compareVersions(one.version, best.version) > 0 ? one : best));
      const where = locationOf(origin);
      const suites = channels.map(({ suite }) => suite).join(", ");
      throw failure(
        "unknown-source",
        `${suites}: no source package ${origin.name}${version === undefined ? "" : ` ${version}`}`,
        {
          ...(where && { where }),
          ...(all.length > 0 && { expected: [...new Set(all.map((one) => one.version))].join(", ") }),
        },
      );
    },
  };
}

async function sourcesTexts(session: BuildSession, request: ChannelRequest): Promise<SourcesText[]> {
  const texts: SourcesText[] = [];
  for (const { archive, suite, indices } of await pinnedSuites(session, request)) {
    for (const index of indices) {
      if (index.architecture !== "source") continue;
      texts.push({ text: (await readIndex(index, session.store.directory)).toString("utf8"), archive, suite });
    }
  }
  return texts;
}

function requestFor({ suite, components, updates, security }: Channel, architecture: string): ChannelRequest {
  return { suite, components, updates, security, architectures: [architecture] };
}

function keyOf(channel: Channel, wish: unknown): string {
  return canonicalJson([channel, wish]);
}
