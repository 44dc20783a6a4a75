import { canonicalJson } from "../base/canonical.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { compareVersions } from "../debian/version.ts";
import { compareFiles } from "./compare-files.ts";
import { compareServices } from "./compare-services.ts";
import type { DescribedPackage, SystemDescription } from "./system-description.ts";
import type {
  Change,
  PackageDifference,
  SettingDifference,
  SystemDifference,
  SystemIdentity,
} from "./system-difference.ts";

/** What changes from one system to another. Pure; nothing changes between two of one hash, wherever they are written. */
export function compareDescriptions(before: SystemDescription, after: SystemDescription): SystemDifference {
  const identities = { before: identityOf(before), after: identityOf(after) };
  if (before.systemHash === after.systemHash) return { ...identities, ...noChanges };
  const kernelArguments =
    canonicalJson(before.kernel.arguments) === canonicalJson(after.kernel.arguments)
      ? undefined
      : { before: before.kernel.arguments, after: after.kernel.arguments };
  const packages = comparePackages(before, after);
  const files = compareFiles(before.files, after.files);
  const units = changesOf(before.units, after.units, ({ name }) => name);
  return {
    ...identities,
    packages,
    files,
    users: changesOf(before.users, after.users, ({ name }) => name),
    groups: changesOf(before.groups, after.groups, ({ name }) => name),
    units,
    checks: changesOf(before.checks, after.checks, ({ service, name }) => `${service} ${name}`),
    fileSystems: changesOf(before.fileSystems, after.fileSystems, ({ mountPoint, device }) =>
      // Swap areas and the like share a mount point of no meaning.
      mountPoint.startsWith("/") ? mountPoint : `${mountPoint} ${canonicalJson(device)}`,
    ),
    ...(kernelArguments && { kernelArguments }),
    wishes: changesOf(namesOf(before.wishes), namesOf(after.wishes), (name) => name),
    settings: compareSettings(before, after),
    services: compareServices(before, after, { packages, files, units }),
  };
}

const noChanges = {
  packages: [],
  files: [],
  users: [],
  groups: [],
  units: [],
  checks: [],
  fileSystems: [],
  wishes: [],
  settings: [],
  services: [],
} as const;

function identityOf({ systemHash, hostName, imageHash }: SystemDescription): SystemIdentity {
  return { systemHash, hostName, ...(imageHash !== undefined && { imageHash }) };
}

/** Items by what names them, sorted by it; where an item was written is no part of what it is. */
function changesOf<T>(before: readonly T[], after: readonly T[], keyOf: (item: T) => string): Change<T>[] {
  const [old, now] = [byKey(before, keyOf), byKey(after, keyOf)];
  const keys = [...new Set([...old.keys(), ...now.keys()])].sort(compareBytes);
  return keys.flatMap((key) => {
    const [was, is] = [old.get(key), now.get(key)];
    if (was !== undefined && is !== undefined && isSame(was, is)) return [];
    return [{ ...(was !== undefined && { before: was }), ...(is !== undefined && { after: is }) }];
  });
}

/** Of several items of one name the second is another item, and so on. */
function byKey<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T> {
  const keyed = new Map<string, T>();
  for (const item of items) {
    let key = keyOf(item);
    while (keyed.has(key)) key += "\0";
    keyed.set(key, item);
  }
  return keyed;
}

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(withoutOrigins(a)) === canonicalJson(withoutOrigins(b));
}

function withoutOrigins(item: unknown): unknown {
  if (typeof item !== "object" || item === null) return item;
  return Object.fromEntries(Object.entries(item).filter(([key]) => key !== "origin" && key !== "origins"));
}

function namesOf(wishes: SystemDescription["wishes"]): string[] {
  return wishes.map(({ name }) => name);
}

function comparePackages(before: SystemDescription, after: SystemDescription): PackageDifference[] {
  const keyOf = (system: SystemDescription) => {
    return ({ name, part, architecture }: DescribedPackage) =>
      // A package that was built for one architecture and is now for all is the same package.
      `${name} ${part} ${architecture === "all" || architecture === system.architecture ? "" : architecture}`;
  };
  const old = new Map(before.packages.map((one) => [keyOf(before)(one), one]));
  const now = new Map(after.packages.map((one) => [keyOf(after)(one), one]));
  return sortedBy(new Set([...old.keys(), ...now.keys()]), (key) => key).flatMap((key): PackageDifference[] => {
    const [was, is] = [old.get(key), now.get(key)];
    if (was === undefined) return [{ name: is!.name, kind: "added", after: is! }];
    if (is === undefined) return [{ name: was.name, kind: "removed", before: was }];
    if (was.sha256 === is.sha256) return [];
    const order = compareVersions(is.version, was.version);
    const kind = order > 0 ? "upgraded" : order < 0 ? "downgraded" : "rebuilt";
    return [{ name: is.name, kind, before: was, after: is }];
  });
}

function compareSettings(before: SystemDescription, after: SystemDescription): SettingDifference[] {
  const old = settingsOf(before);
  const now = settingsOf(after);
  return sortedBy(new Set([...old.keys(), ...now.keys()]), (title) => title).flatMap((title) => {
    const [was, is] = [old.get(title), now.get(title)];
    if (was === is) return [];
    return [{ title, ...(was !== undefined && { before: was }), ...(is !== undefined && { after: is }) }];
  });
}

/** What of a record has no list of its own in a difference: in words, by title. */
function settingsOf(system: SystemDescription): Map<string, string> {
  const { channel, kernel, bootloader, recommends } = system;
  const parts = [channel.suite, ...(channel.updates ? ["updates"] : []), ...(channel.security ? ["security"] : [])];
  return new Map([
    ["host name", system.hostName],
    ["architecture", system.architecture],
    ["channel", `${parts.join(" + ")} (${channel.components.join(", ")})`],
    ["kernel", kernel.package],
    ["initrd modules", kernel.initrdModules.join(" ")],
    ["boot loader", `${bootloader.kind} on ${bootloader.targets.join(", ") || "no disk"}, ${bootloader.timeout} s`],
    ["recommended packages", typeof recommends === "boolean" ? (recommends ? "all" : "none") : recommends.join(" ")],
    ...(system.sourcePackages ?? []).map(({ name, version, output, replaces }) => {
      const inPlaceOf = replaces.length > 0 ? `, in place of ${replaces.join(", ")}` : "";
      return [`${name} from source`, `${version} at ${output}${inPlaceOf}`] as const;
    }),
    ...Object.entries(system.accountNumbers).map(([name, id]) => [`number of ${name}`, String(id)] as const),
    ...Object.entries(system.alternatives).map(([name, path]) => [`alternative ${name}`, path] as const),
    ...system.acknowledgedScripts.map(
      (one) =>
        [
          `acknowledged ${one.script} of ${one.package}${one.sha256 ? ` ${one.sha256.slice(0, 12)}` : ""}`,
          one.reason,
        ] as const,
    ),
  ]);
}
