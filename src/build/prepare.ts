import { existsSync } from "node:fs";
import { MesoError } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { onceForEach } from "../base/once-for-each.ts";
import type { ChannelRequest } from "../debian/indices.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import { grubPackages } from "../image/boot/grub-core.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { fieldLocation } from "../language/record.ts";
import { lowerSystem } from "../system/lower.ts";
import type { SystemManifest } from "../system/manifest.ts";
import { type ResolvedSource, systemHash } from "../system/manifest-hash.ts";
import { unknownPackageProblems } from "../system/validate-packages.ts";
import { type OpenChannel, openChannel } from "./channel.ts";
import { hostArchitecture } from "./host-architecture.ts";
import { type BuildSession, stage } from "./session.ts";
import type { sourceResolver } from "./system-sources.ts";

/** A system whose every input is known by hash, before anything is downloaded: plain data. */
export interface ResolvedSystem {
  readonly manifest: SystemManifest;
  /** The closed set of packages in the root file system, sorted by name. */
  readonly packages: readonly ResolvedPackage[];
  /** Packages of the machine's architecture whose files the boot path needs, beside the root file system. */
  readonly bootPackages: readonly ResolvedPackage[];
  /** Packages of this host's architecture whose programs the build runs, with their libraries. */
  readonly toolPackages: readonly ResolvedPackage[];
  /** Packages of this host's architecture that archives are unpacked with. They decide no byte of the system. */
  readonly unpackPackages: readonly ResolvedPackage[];
  /** Packages built from source that are in the root file system, sorted by name: derivations, not built yet. */
  readonly sources: readonly ResolvedSource[];
  /** Names the system: SHA-256 of manifest, archives and packages from source. */
  readonly systemHash: string;
}

export interface PreparedSystem extends ResolvedSystem {
  readonly channel: OpenChannel;
}

/**
 * Folds an operating system into its manifest and resolves its packages against the pinned channel.
 * @throws MesoError with every mistake of the record, or every unknown package, at once.
 */
export function prepareSystem(session: BuildSession, os: OperatingSystem): Promise<PreparedSystem> {
  return systemPreparer(session)(os);
}

/** `prepareSystem` for many systems of one session: a channel is opened once, and the same wishes resolved once. */
export function systemPreparer(session: BuildSession): (os: OperatingSystem) => Promise<PreparedSystem> {
  const channelOf = onceForEach((request: ChannelRequest) => openChannel(session, request));
  const sourcesOf = lateSourceResolver(session);
  return async (os) => {
    const manifest = await stage(session, "evaluate", () => lowerSystem(os));
    const channel = await channelOf(channelRequest(manifest)).catch((error: unknown) => {
      throw withChannelPlace(error, os);
    });
    return stage(session, "resolve", async () => {
      const packages = await resolvePackages(channel, manifest);
      checkRecommends(os, manifest, packages);
      const sources = await sourcesOf(
        os,
        packages.map(({ name }) => name),
      );
      const [bootPackages, toolPackages, unpackPackages] = await Promise.all([
        resolveNamed(channel, bootPackageNames(manifest.architecture), manifest.architecture),
        resolveNamed(channel, toolPackageNames(manifest.architecture), hostArchitecture()),
        resolveNamed(channel, unpackPackageNames, hostArchitecture()),
      ]);
      return {
        manifest,
        packages,
        bootPackages,
        toolPackages,
        unpackPackages,
        sources,
        systemHash: systemHash(manifest, onceEach([...packages, ...bootPackages, ...toolPackages]), sources),
        channel,
      };
    });
  };
}

/** The room of source packages is large, and most systems have none. */
function lateSourceResolver(session: BuildSession): ReturnType<typeof sourceResolver> {
  let resolver: Promise<ReturnType<typeof sourceResolver>> | undefined;
  return async (os, installed) => {
    if (os.sourcePackages.length === 0) return [];
    resolver ??= import("./system-sources.ts").then((module) => module.sourceResolver(session));
    return (await resolver)(os, installed);
  };
}

/** Every package whose archive a build of the system needs, once. */
export function allPackages(system: ResolvedSystem): readonly ResolvedPackage[] {
  const { packages, bootPackages, toolPackages, unpackPackages } = system;
  return onceEach([...packages, ...bootPackages, ...toolPackages, ...unpackPackages]);
}

function onceEach(packages: readonly ResolvedPackage[]): readonly ResolvedPackage[] {
  return [...new Map(packages.map((one) => [one.sha256, one])).values()];
}

/** What of Debian a manifest is made from: its own architecture, and the host's for the tools. */
export function channelRequest(manifest: SystemManifest): ChannelRequest {
  return {
    ...manifest.channel,
    architectures: [...new Set([manifest.architecture, hostArchitecture()])].sort(),
  };
}

async function resolvePackages(channel: OpenChannel, manifest: SystemManifest): Promise<readonly ResolvedPackage[]> {
  const request = {
    install: manifest.packages.map(({ name }) => ({ name })),
    architecture: manifest.architecture,
    includeRecommends: manifest.recommends,
    prefer: preferences,
  };
  try {
    return (await channel.resolve(request)).packages;
  } catch (error) {
    throw await withPlaces(error, channel, manifest);
  }
}

/** Whoever pulls knows the suite's name; the record knows where it was written. */
function withChannelPlace(error: unknown, os: OperatingSystem): unknown {
  const where = fieldLocation(os, "channel");
  if (!(error instanceof MesoError) || where === undefined) return error;
  if (!error.problems.every(({ field }) => field === "suite" || field === "components")) return error;
  const problems = error.problems.map((problem) => ({ ...problem, where, field: `channel.${problem.field}` }));
  return new MesoError(problems, { cause: error });
}

/** A name that is not in the system would ask for nothing, without a word. */
function checkRecommends(os: OperatingSystem, { recommends }: SystemManifest, packages: readonly ResolvedPackage[]) {
  if (typeof recommends === "boolean") return;
  const installed = packages.map(({ name }) => name);
  const where = fieldLocation(os, "recommends");
  const problems = recommends
    .filter((name) => !installed.includes(name))
    .map((name) => ({
      code: "recommends-of-absent",
      what: `${name} is not in the system, so nothing that it recommends comes`,
      field: "recommends",
      ...(where && { where }),
      expected: "names of packages of the system",
      ...nearestHint(name, installed),
    }));
  if (problems.length > 0) throw new MesoError(problems);
}

/**
 * Where Debian leaves a choice: a merged /usr is how every image is laid out, so the tool that would merge it,
 * and the whole of perl behind it, is not wanted (bookworm's init-system-helpers accepts either).
 */
const preferences: Readonly<Record<string, string>> = { usrmerge: "usr-is-merged" };

/** The resolver does not know who asked for a package; the manifest does. */
async function withPlaces(error: unknown, channel: OpenChannel, manifest: SystemManifest): Promise<unknown> {
  if (!(error instanceof MesoError) || error.code !== "unknown-package") return error;
  const index = await channel.index();
  const isKnown = (name: string): boolean => index.versions(name).length > 0 || index.providers(name).length > 0;
  const problems = unknownPackageProblems(manifest, isKnown, () => index.names());
  return problems.length > 0 ? new MesoError(problems) : error;
}

async function resolveNamed(
  channel: OpenChannel,
  names: readonly string[],
  architecture: string,
): Promise<readonly ResolvedPackage[]> {
  if (names.length === 0) return [];
  const install = names.map((name) => ({ name }));
  return (await channel.resolve({ install, architecture, includeEssential: false, prefer: preferences })).packages;
}

function bootPackageNames(architecture: string): readonly string[] {
  const hasUefi = ["amd64", "arm64", "riscv64"].includes(architecture);
  return ["busybox-static", ...(hasUefi ? ["systemd-boot-efi"] : [])];
}

/** GRUB for BIOS; and for a foreign machine the programs that its own packages would have brought. */
function toolPackageNames(architecture: string): readonly string[] {
  const grub = architecture === "amd64" ? grubPackages : [];
  const foreign = architecture === hostArchitecture() ? [] : ["kmod", "libc-bin", "systemd", "udev"];
  return [...grub, ...foreign];
}

const unpackPackageNames = ["xz-utils"];

/** Whether the archive of a package is in the store already. */
export function isFetched(session: BuildSession, archive: Pick<ResolvedPackage, "sha256">): boolean {
  return session.store.hasSegment(archive.sha256) || existsSync(session.store.archivePath(archive.sha256));
}
