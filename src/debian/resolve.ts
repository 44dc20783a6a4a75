import { MesoError, type Problem } from "../base/error.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import type { PackageIndex, PackageSource } from "./package-index.ts";
import { formatRelationGroup } from "./relation.ts";
import type { Candidate, Candidates, Pin } from "./resolve-candidates.ts";
import { candidatesOf, effectiveArchitecture, satisfies } from "./resolve-candidates.ts";
import { clashProblem, deadEndProblem, noCandidateProblem } from "./resolve-explain.ts";
import type { RequestedPackage, ResolveRequest } from "./resolve-request.ts";
import type { Chosen, DependencyField, Seed } from "./resolve-search.ts";
import { search } from "./resolve-search.ts";

export type { RequestedPackage, ResolveRequest } from "./resolve-request.ts";

/** A package of the set, and everything needed to fetch it. */
export interface ResolvedPackage {
  readonly name: string;
  readonly version: string;
  /** Of the archive: `amd64`, `all`. */
  readonly architecture: string;
  readonly sha256: string;
  /** Bytes of the archive. */
  readonly size: number;
  /** Bytes once unpacked, as estimated by the package. */
  readonly installedSize: number;
  /** Path of the archive below the root of the mirror of `source.archive`. */
  readonly filename: string;
  readonly archive: PackageSource["archive"];
  readonly source: PackageSource;
  readonly essential: boolean;
  /** Names of the packages of the set that satisfy its Pre-Depends and Depends, sorted. */
  readonly depends: readonly string[];
  readonly reason: ResolvedReason;
}

/** Why a package is in the set: `by` is the name of the first package that asked for it, `relation` its words. */
export type ResolvedReason =
  | { readonly kind: "requested" }
  | { readonly kind: "essential" }
  | {
      readonly kind: "dependency";
      readonly by: string;
      readonly field: DependencyField;
      readonly relation: string;
    };

export interface Resolution {
  /** Sorted by name, then architecture. */
  readonly packages: readonly ResolvedPackage[];
}

/**
 * The packages that an empty root needs so that everything requested is installed with its dependencies, as apt
 * chooses them: of each package the highest version, the first alternative that goes, a package before those
 * that provide its name, nothing that Conflicts or Breaks forbid. The order of the request means nothing.
 *
 * Throws a `MesoError`: `unknown-package` (all unknown names at once, with the nearest), `no-candidate` (version or
 * suite not there), `ambiguous-package` (a virtual package with several providers), `unsatisfiable` (with the chain
 * of needs that leads to what is missing or in conflict), `resolution-too-hard`.
 */
export function resolve(index: PackageIndex, request: ResolveRequest): Resolution {
  const candidates = candidatesOf(index, {
    architecture: request.architecture,
    foreignArchitectures: request.foreignArchitectures ?? [],
    exclude: new Set(request.exclude ?? []),
    pins: pinsOf(request),
    prefer: request.prefer ?? {},
  });
  const essential = essentialSeeds(index, request, candidates);
  const inAnyCase = new Set(essential.map(({ candidate }) => candidate.package));
  const requested = requestedSeeds(index, request, candidates).filter(
    ({ candidate }) => !inAnyCase.has(candidate.package) || candidate.architecture !== request.architecture,
  );
  const result = search([...essential, ...requested], candidates, {
    architecture: request.architecture,
    recommendsCount: recommendsCount(request.includeRecommends ?? false),
    maximumTries,
  });
  if (result.kind === "clash") throw new MesoError(clashProblem(result.seed, result.conflict));
  if (result.kind === "dead-end") throw new MesoError(deadEndProblem(result.deadEnd, index, candidates));
  return { packages: toPackages(result.chosen, request) };
}

function recommendsCount(of: boolean | readonly string[]): (name: string) => boolean {
  if (typeof of === "boolean") return () => of;
  const names = new Set(of);
  return (name) => names.has(name);
}

/** The largest desktops take some thousand. */
const maximumTries = 50_000;

function pinsOf(request: ResolveRequest): Map<string, Pin> {
  const problems: Problem[] = [];
  const pins = new Map<string, Pin>();
  for (const { name, constraint, from } of sortedBy(request.install, requestKey)) {
    if (constraint === undefined && from === undefined) continue;
    const pin = { ...(constraint && { constraint }), ...(from && { from }) };
    const other = pins.get(name);
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(pin)) {
      problems.push({
        code: "contradicting-requests",
        what: `${name} is requested twice, with different versions or suites`,
        hint: "request it once",
      });
    }
    pins.set(name, pin);
  }
  if (problems.length > 0) throw new MesoError(problems);
  return pins;
}

function essentialSeeds(index: PackageIndex, request: ResolveRequest, candidates: Candidates): Seed[] {
  if (request.includeEssential === false) return [];
  return index.essential().flatMap((version): Seed[] => {
    if (effectiveArchitecture(version, request.architecture) !== request.architecture) return [];
    const candidate = candidates.candidate(version.name, request.architecture);
    if (candidate?.package !== version) return [];
    return [{ candidate, reason: { kind: "essential" } }];
  });
}

function requestedSeeds(index: PackageIndex, request: ResolveRequest, candidates: Candidates): Seed[] {
  const problems: Problem[] = [];
  const seeds = new Map<Candidate, Seed>();
  for (const wanted of sortedBy(request.install, requestKey)) {
    const architectures =
      wanted.architecture === undefined
        ? [request.architecture, ...(request.foreignArchitectures ?? [])]
        : [wanted.architecture];
    const candidate =
      architectures.map((architecture) => candidates.candidate(wanted.name, architecture)).find((one) => one) ??
      soleProvider(wanted.name, architectures[0]!);
    if (candidate !== undefined) seeds.set(candidate, { candidate, reason: { kind: "requested" } });
    else problems.push(noCandidateProblem(wanted, request, index, candidates));
  }
  if (problems.length > 0) throw new MesoError(problems);
  return [...seeds.values()];

  /** As apt does: a virtual package stands for its provider when there is but one, or one is preferred. */
  function soleProvider(name: string, architecture: string): Candidate | undefined {
    if (index.versions(name).length > 0) return undefined;
    const providers = candidates.options([{ name }], architecture);
    const preferred = request.prefer?.[name];
    if (preferred !== undefined) return providers.find((provider) => provider.package.name === preferred);
    return providers.length === 1 ? providers[0] : undefined;
  }
}

function requestKey({ name, architecture = "", from = "", constraint }: RequestedPackage): string {
  return `${name} ${architecture} ${from} ${constraint?.operator} ${constraint?.version}`;
}

function toPackages(chosen: readonly Chosen[], request: ResolveRequest): ResolvedPackage[] {
  const byName = new Map<string, Chosen[]>();
  for (const one of chosen) {
    for (const name of new Set([one.package.name, ...one.package.provides.map(([provided]) => provided!.name)])) {
      const list = byName.get(name);
      if (list === undefined) byName.set(name, [one]);
      else list.push(one);
    }
  }
  const dependsOf = ({ package: version, architecture }: Chosen): string[] => {
    const names = new Set<string>();
    for (const group of [...version.preDepends, ...version.depends]) {
      const satisfying = group.flatMap((relation) =>
        (byName.get(relation.name) ?? []).filter((one) => satisfies(one, relation, architecture, request.architecture)),
      );
      const best = satisfying.find((one) => one.package.name === group[0]!.name) ?? satisfying[0];
      if (best !== undefined) names.add(best.package.name);
    }
    names.delete(version.name);
    return [...names].sort(compareBytes);
  };
  return sortedBy(chosen, (one) => `${one.package.name} ${one.architecture}`).map((one) => {
    const { package: version } = one;
    const source = sourceOf(one, request);
    return {
      name: version.name,
      version: version.version,
      architecture: version.architecture,
      sha256: version.sha256,
      size: version.size,
      installedSize: version.installedSize,
      filename: version.filename,
      archive: source.archive,
      source,
      essential: version.essential,
      depends: dependsOf(one),
      reason: toReason(one),
    };
  });
}

/** The suite that was asked for, else the first that holds the version. */
function sourceOf({ package: version }: Chosen, request: ResolveRequest): PackageSource {
  const from = request.install.find(({ name }) => name === version.name)?.from;
  return version.sources.find((source) => source.suite === from) ?? version.sources[0]!;
}

function toReason({ reason }: Chosen): ResolvedReason {
  if (reason.kind !== "dependency") return { kind: reason.kind };
  const { by, field, group } = reason;
  return { kind: "dependency", by: by.package.name, field, relation: formatRelationGroup(group) };
}
