import { compareBytes, sortedBy } from "../base/order.ts";
import type { DescribedUnit, SystemDescription } from "./system-description.ts";
import type {
  Change,
  FileDifference,
  PackageDifference,
  ServiceDifference,
  ServiceReason,
  SystemDifference,
} from "./system-difference.ts";

type Changes = Pick<SystemDifference, "packages" | "files" | "units">;

/**
 * The services that will not behave as before. A service's own are the packages it asks for and those that ship the
 * units it enables or checks, the files it writes and the units it enables; what it runs on are the libraries of its
 * packages, and theirs.
 */
export function compareServices(
  before: SystemDescription,
  after: SystemDescription,
  changes: Changes,
): ServiceDifference[] {
  const old = new Map(before.services.map((service) => [service.by, service]));
  const now = new Map(after.services.map((service) => [service.by, service]));
  return sortedBy(new Set([...old.keys(), ...now.keys()]), (name) => name).flatMap((service): ServiceDifference[] => {
    const [was, is] = [old.get(service), now.get(service)];
    const where = (is ?? was)?.where;
    const place = where && { where };
    if (was === undefined) return [{ service, kind: "added", ...place, reasons: [] }];
    if (is === undefined) return [{ service, kind: "removed", ...place, reasons: [] }];
    const reasons = reasonsOf(service, before, after, changes);
    return reasons.length === 0 ? [] : [{ service, kind: "changed", ...place, reasons }];
  });
}

function reasonsOf(
  service: string,
  before: SystemDescription,
  after: SystemDescription,
  { packages, files, units }: Changes,
): ServiceReason[] {
  const ownPackages = new Set([...packagesOf(service, before), ...packagesOf(service, after)]);
  const changed = new Set(packages.filter(isOfRoot).map(({ name }) => name));
  const reasons: ServiceReason[] = [...ownPackages]
    .filter((name) => changed.has(name))
    .sort(compareBytes)
    .map((name) => ({ kind: "package", package: name }));
  const dependencies = new Map([...librariesBehind(ownPackages, before), ...librariesBehind(ownPackages, after)]);
  const told = new Set([...ownPackages].filter((name) => changed.has(name)).map((name) => sourceOf(name)));
  for (const [library, of] of sortedBy(dependencies, ([name]) => name)) {
    // Parts of one source change together: one of them says it.
    if (!changed.has(library) || told.has(sourceOf(library))) continue;
    told.add(sourceOf(library));
    reasons.push({ kind: "dependency", package: library, of });
  }
  const ownUnits = new Set(units.filter((change) => isOf(service, change)).map((change) => unitOf(change)));
  for (const file of files.filter((one) => isWrittenBy(service, one))) {
    const unit = unitOfFile(file.path);
    // What only follows a file of the store is told by that file.
    if (file.follows !== undefined && file.attributes.length === 0) continue;
    if (unit !== undefined) ownUnits.add(unit);
    else reasons.push({ kind: "configuration", path: file.path });
  }
  return [...reasons, ...[...ownUnits].sort(compareBytes).map((unit): ServiceReason => ({ kind: "unit", unit }))];

  function sourceOf(name: string): string | undefined {
    const { before: was, after: is } = packages.find((one) => one.name === name)!;
    return (is ?? was)!.source;
  }
}

function isOfRoot({ before, after }: PackageDifference): boolean {
  return (after ?? before)!.part === "root";
}

function packagesOf(service: string, system: SystemDescription): string[] {
  const wished = system.wishes.filter(({ origins }) => origins.some(({ by }) => by === service));
  const enabled = system.units.filter(({ origins }) => origins.some(({ by }) => by === service));
  const checked = system.checks.flatMap((check) =>
    check.service === service && check.kind === "unit-active" ? [check.unit] : [],
  );
  const units = [...enabled.map(({ name }) => name), ...checked];
  return [...wished.map(({ name }) => name), ...units.flatMap((unit) => system.composed?.unitPackages[unit] ?? [])];
}

/**
 * The libraries that programs of these packages load, by name, each with the package that leads to it. What a package
 * merely works with (`openssh-server` needs `systemd`'s helpers) does not change how it behaves; a library does.
 */
function librariesBehind(packages: ReadonlySet<string>, system: SystemDescription): Map<string, string> {
  const root = system.packages.filter(({ part }) => part === "root");
  const byName = new Map(root.map((one) => [one.name, one]));
  const found = new Map<string, string>();
  const waiting = [...packages].sort(compareBytes).map((name) => ({ name, of: name }));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { name, of } = next;
    for (const dependency of byName.get(name)?.depends ?? []) {
      if (found.has(dependency) || packages.has(dependency) || !isLibrary(dependency, byName.get(name)!.source))
        continue;
      found.set(dependency, of);
      waiting.push({ name: dependency, of });
    }
  }
  return found;

  /** Debian Policy 8.1 names libraries lib…; and parts of one source are built to go together. */
  function isLibrary(name: string, source: string): boolean {
    return name.startsWith("lib") || byName.get(name)?.source === source;
  }
}

function isOf(service: string, { before, after }: Change<DescribedUnit>): boolean {
  return [before, after].some((unit) => unit?.origins.some(({ by }) => by === service));
}

function unitOf({ before, after }: Change<DescribedUnit>): string {
  return (after ?? before)!.name;
}

function isWrittenBy(service: string, { before, after }: FileDifference): boolean {
  return before?.origin.by === service || after?.origin.by === service;
}

/** The unit that a file defines or changes. */
function unitOfFile(path: string): string | undefined {
  return /^\/(?:etc|usr\/lib)\/systemd\/system\/([^/]+?\.[a-z]+)(?:\.d\/[^/]+)?$/.exec(path)?.[1];
}
