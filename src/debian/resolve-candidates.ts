import type { PackageIndex, PackageVersion } from "./package-index.ts";
import type { Relation, RelationGroup } from "./relation.ts";
import type { VersionConstraint } from "./version.ts";
import { satisfiesConstraint } from "./version.ts";

/** A package that may be chosen: the one version of its name and architecture that counts, as in apt. */
export interface Candidate {
  readonly package: PackageVersion;
  /** The package's own, or the machine's for `all`: what relations without qualifier compare. */
  readonly architecture: string;
}

/** What narrows the choice of a package's version. */
export interface Pin {
  readonly constraint?: VersionConstraint;
  readonly from?: string;
}

export interface CandidateRules {
  readonly architecture: string;
  readonly foreignArchitectures: readonly string[];
  readonly exclude: ReadonlySet<string>;
  readonly pins: ReadonlyMap<string, Pin>;
  /** By name of a relation: the package that is tried first wherever that name is an alternative. */
  readonly prefer: Readonly<Record<string, string>>;
}

export interface Candidates {
  /** The same object for the same name and architecture. */
  candidate(name: string, architecture: string): Candidate | undefined;
  /** What satisfies one alternative: the package of that name before those that provide it. */
  matching(relation: Relation, ownerArchitecture: string): readonly Candidate[];
  /** What satisfies a group, in the order to try. */
  options(group: RelationGroup, ownerArchitecture: string): readonly Candidate[];
}

/** The choice that index and rules leave. */
export function candidatesOf(index: PackageIndex, rules: CandidateRules): Candidates {
  const architectures = [rules.architecture, ...rules.foreignArchitectures];
  const known = new Map<string, Candidate | undefined>();
  /** A group belongs to one stanza, and so to one architecture. */
  const knownOptions = new WeakMap<RelationGroup, readonly Candidate[]>();

  const candidate = (name: string, architecture: string): Candidate | undefined => {
    const key = `${name}:${architecture}`;
    if (known.has(key)) return known.get(key);
    const found = rules.exclude.has(name) ? undefined : bestVersion(index.versions(name), architecture);
    const result = found && { package: found, architecture };
    known.set(key, result);
    return result;
  };

  const bestVersion = (versions: readonly PackageVersion[], architecture: string) =>
    versions.find((version) => {
      if (effectiveArchitecture(version, rules.architecture) !== architecture) return false;
      const pin = rules.pins.get(version.name);
      if (!satisfiesConstraint(version.version, pin?.constraint)) return false;
      if (pin?.from !== undefined) return version.sources.some((source) => source.suite === pin.from);
      return version.sources.some((source) => !source.notAutomatic);
    });

  const matching = (relation: Relation, ownerArchitecture: string): Candidate[] => {
    const others = architectures.filter((architecture) => architecture !== ownerArchitecture);
    const real = [ownerArchitecture, ...others].flatMap((architecture) => candidate(relation.name, architecture) ?? []);
    const providing = index
      .providers(relation.name)
      .filter((version) => version.name !== relation.name)
      .map((version) => {
        const found = candidate(version.name, effectiveArchitecture(version, rules.architecture));
        return found?.package === version ? found : undefined;
      })
      .filter((found) => found !== undefined)
      .sort((a, b) => compareProviders(a, b, architectures));
    const fits = (found: Candidate) => satisfies(found, relation, ownerArchitecture, rules.architecture);
    return [...real, ...providing].filter(fits);
  };

  const options = (group: RelationGroup, ownerArchitecture: string): readonly Candidate[] => {
    let result = knownOptions.get(group);
    if (result === undefined) {
      result = orderedOptions(group, ownerArchitecture);
      knownOptions.set(group, result);
    }
    return result;
  };

  const orderedOptions = (group: RelationGroup, ownerArchitecture: string): Candidate[] => {
    const all = new Set(group.flatMap((relation) => matching(relation, ownerArchitecture)));
    const preferred = new Set(group.flatMap(({ name }) => rules.prefer[name] ?? []));
    if (preferred.size === 0 || all.size < 2) return [...all];
    const first = [...all].filter((found) => preferred.has(found.package.name));
    return [...new Set([...first, ...all])];
  };

  return { candidate, matching, options };
}

/** `all` packages count as the machine's own architecture (Debian's multiarch specification). */
export function effectiveArchitecture(version: PackageVersion, native: string): string {
  return version.architecture === "all" ? native : version.architecture;
}

/** Whether the candidate, by its name or by what it provides, is what a dependency asks for. */
export function satisfies(found: Candidate, relation: Relation, ownerArchitecture: string, native: string): boolean {
  return (
    hasName(found.package, relation) && isArchitectureAccepted(found, relation.qualifier, ownerArchitecture, native)
  );
}

/** Whether a Conflicts or Breaks speaks of the candidate: unqualified ones mean every architecture. */
export function isMeant(found: Candidate, relation: Relation): boolean {
  const { qualifier } = relation;
  if (qualifier !== undefined && qualifier !== "any" && qualifier !== found.architecture) return false;
  return hasName(found.package, relation);
}

/** By real name and version, or by a provided name; only a versioned Provides satisfies a version (Policy 7.5). */
function hasName(version: PackageVersion, relation: Relation): boolean {
  const { name, constraint } = relation;
  if (version.name === name && satisfiesConstraint(version.version, constraint)) return true;
  return version.provides.some(([provided]) => {
    if (provided!.name !== name) return false;
    if (constraint === undefined) return true;
    return provided!.constraint !== undefined && satisfiesConstraint(provided!.constraint.version, constraint);
  });
}

function isArchitectureAccepted(
  found: Candidate,
  qualifier: string | undefined,
  ownerArchitecture: string,
  native: string,
): boolean {
  const { multiArch } = found.package;
  if (qualifier === undefined) return found.architecture === ownerArchitecture || multiArch === "foreign";
  if (qualifier === "any") return multiArch === "allowed";
  return found.architecture === (qualifier === "native" ? native : qualifier);
}

/**
 * apt's order among providers: essential, the machine's architecture, higher priority, and of equals the one whose
 * name the indices mention last (apt numbers names as it meets them; tried, as no document says so).
 */
function compareProviders(a: Candidate, b: Candidate, architectures: readonly string[]): number {
  return (
    Number(b.package.essential) - Number(a.package.essential) ||
    architectures.indexOf(a.architecture) - architectures.indexOf(b.architecture) ||
    priorityRank(a) - priorityRank(b) ||
    b.package.mention - a.package.mention
  );
}

const priorities = ["required", "important", "standard", "optional", "extra"];

function priorityRank(found: Candidate): number {
  const rank = priorities.indexOf(found.package.priority);
  return rank < 0 ? priorities.length : rank;
}
