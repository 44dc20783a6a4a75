import { basename, dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import type { SourceLocation } from "../base/location.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import type { ComposedFacts } from "../build/composed-facts.ts";
import type { PreparedSystem } from "../build/prepare.ts";
import type { PackageIndex } from "../debian/package-index.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import { sourcePackage } from "../debian/source-package.ts";
import { privateKeyMarker } from "../system/lint/private-keys.ts";
import type { ManifestFile, ManifestUser, Origin } from "../system/manifest.ts";
import type {
  DescribedFile,
  DescribedOrigin,
  DescribedPackage,
  DescribedUnit,
  DescribedUser,
  SystemDescription,
} from "./system-description.ts";

export interface DescribeOptions {
  /** Folder of the program: places in it are told relative to it. Absolute. */
  readonly folder: string;
  readonly imageHash?: string;
  /** `recallComposedFacts` */
  readonly composed?: ComposedFacts | undefined;
}

/**
 * Describes a system whose inputs are known; nothing needs to be fetched or built. Reads the channel's index, which the
 * hash of a system does not need: to be asked for systems that changed, not for all of a centre.
 */
export async function describeSystem(prepared: PreparedSystem, options: DescribeOptions): Promise<SystemDescription> {
  const { manifest, channel, systemHash } = prepared;
  const index = await channel.index();
  const place = placer(options.folder, manifest.origins?.services ?? []);
  const described = (part: DescribedPackage["part"], packages: readonly ResolvedPackage[]): DescribedPackage[] =>
    packages.map((one) => describePackage(one, part, index));
  const { origins } = manifest;
  return {
    formatVersion: 1,
    systemHash,
    ...(options.imageHash !== undefined && { imageHash: options.imageHash }),
    hostName: manifest.hostName,
    architecture: manifest.architecture,
    channel: {
      ...manifest.channel,
      identity: channel.identity,
      suites: channel.suites.map(({ suite, date }) => ({ suite, date })),
    },
    packages: sortedBy(
      [
        ...described("root", prepared.packages),
        ...described("boot", prepared.bootPackages),
        ...described("tools", prepared.toolPackages),
      ],
      packageKey,
    ),
    ...(prepared.sources.length > 0 && {
      sourcePackages: prepared.sources.map(({ name, version, output, replaces }) => ({
        ...{ name, version, output },
        replaces: [...replaces].sort(compareBytes),
      })),
    }),
    wishes: manifest.packages.map(({ name, origins: wishedBy }) => ({ name, origins: wishedBy.map(place) })),
    recommends: manifest.recommends,
    files: manifest.files.map((file) => describeFile(file, place(file.origin))),
    users: sortedBy(
      manifest.users.map((user) => describeUser(user, place(user.origin))),
      ({ name }) => name,
    ),
    groups: sortedBy(
      manifest.groups.map((group) => ({ ...group, origin: place(group.origin) })),
      ({ name }) => name,
    ),
    accountNumbers: manifest.accountNumbers,
    units: sortedBy(
      [
        ...manifest.enabledUnits.map((name) => unit(name, "enabled", origins?.enabledUnits[name])),
        ...manifest.maskedUnits.map((name) => unit(name, "masked", origins?.maskedUnits[name])),
      ],
      ({ name }) => name,
    ),
    services: sortedBy((origins?.services ?? []).map(place), ({ by }) => by),
    checks: manifest.checks,
    kernel: manifest.kernel,
    bootloader: manifest.bootloader,
    fileSystems: manifest.fileSystems,
    alternatives: manifest.alternatives,
    acknowledgedScripts: manifest.acknowledgedScripts,
    ...(options.composed && { composed: options.composed }),
  };

  function unit(name: string, state: DescribedUnit["state"], by: readonly Origin[] = []): DescribedUnit {
    return { name, state, origins: by.map(place) };
  }
}

/** Names a package within a description. */
export function packageKey({ name, architecture, part }: DescribedPackage): string {
  return `${name} ${part} ${architecture}`;
}

function describePackage(one: ResolvedPackage, part: DescribedPackage["part"], index: PackageIndex): DescribedPackage {
  const { name, version, architecture, sha256: digest, size, archive, filename, depends, reason } = one;
  const found = index.versions(name).find((candidate) => candidate.sha256 === digest);
  assert(found, `the index that ${name} ${version} was resolved from has it`);
  return {
    name,
    version,
    architecture,
    part,
    ...sourcePackage(name, version, found.stanza.fields.get("Source")),
    suite: one.source.suite,
    sha256: digest,
    size,
    archive,
    filename,
    depends,
    reason:
      reason.kind === "dependency"
        ? { dependencyOf: reason.by, relation: reason.relation }
        : reason.kind === "requested"
          ? "wished"
          : "essential",
  };
}

/** Bytes; more is no text that a person would read the difference of. */
const largestText = 128 * 1024;

function describeFile(file: ManifestFile, origin: DescribedOrigin): DescribedFile {
  const { path, user, group, mode } = file;
  const base = { path, user, group, mode, origin };
  if (file.kind === "directory") return { ...base, kind: "directory" };
  if (file.kind === "symlink") return { ...base, kind: "symlink", target: file.target };
  const size = Buffer.byteLength(file.text);
  // `meso lint` refuses a file with a private key; a plan does not spread it until then.
  const isShown = size <= largestText && isText(file.text) && !isOwnersAlone(mode) && !privateKeyMarker.test(file.text);
  return { ...base, kind: "file", size, sha256: sha256(file.text), ...(isShown && { text: file.text }) };
}

function isText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  return !/[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]/.test(text);
}

/** What only its owner may read on the machine is not for everyone who may read plans. */
function isOwnersAlone(mode: number): boolean {
  return (mode & 0o044) === 0;
}

function describeUser({ passwordHash, ...user }: ManifestUser, origin: DescribedOrigin): DescribedUser {
  const password =
    passwordHash === ""
      ? "none"
      : /^[!*]/.test(passwordHash)
        ? "locked"
        : sha256(`mesoforge password ${passwordHash}`).slice(0, 16);
  const { name, uid, group, supplementaryGroups, comment, home, createHome, shell, system } = user;
  const groups = [...supplementaryGroups].sort(compareBytes);
  return { name, uid, group, supplementaryGroups: groups, comment, home, createHome, shell, password, system, origin };
}

/**
 * Tells places relative to the program's folder. What a service of the catalogue makes in a file of this project is told
 * by the line of the program that asks for the service.
 */
function placer(folder: string, services: readonly Origin[]): (origin: Origin) => DescribedOrigin {
  const asked = new Map(services.map(({ by, where }) => [by, where]));
  const isOwn = (where: SourceLocation | undefined): boolean =>
    where?.file.startsWith(`${project}/src/`) === true && !where.file.startsWith(`${folder}/`);
  return ({ by, where }) => {
    const told = isOwn(where) ? (asked.get(by) ?? where) : where;
    return told === undefined ? { by } : { by, where: relativePlace(told, folder, isOwn(told)) };
  };
}

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function relativePlace({ file, line, column }: SourceLocation, folder: string, isOwn: boolean): SourceLocation {
  // Those in this project's own files are told by its name.
  if (isOwn) return { file: `mesoforge${file.slice(project.length)}`, line, column };
  // What shares nothing with the program's folder would tell how the host's disk is laid out.
  const isNear = file.split("/", 2)[1] === folder.split("/", 2)[1];
  return { file: isNear ? relative(folder, file) : basename(file), line, column };
}
