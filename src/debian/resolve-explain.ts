import type { Problem } from "../base/error.ts";
import type { PackageIndex, PackageVersion } from "./package-index.ts";
import type { Relation } from "./relation.ts";
import { formatRelation, formatRelationGroup } from "./relation.ts";
import type { Candidate, Candidates } from "./resolve-candidates.ts";
import type { RequestedPackage, ResolveRequest } from "./resolve-request.ts";
import type { Chosen, Conflict, DeadEnd, Seed } from "./resolve-search.ts";

/** Why a requested name cannot even be looked at: unknown, ambiguous, or not in that version or suite. */
export function noCandidateProblem(
  wanted: RequestedPackage,
  request: ResolveRequest,
  index: PackageIndex,
  candidates: Candidates,
): Problem {
  const { name } = wanted;
  const versions = index.versions(name);
  if (versions.length > 0) {
    const asked = [
      wanted.constraint && formatRelation({ ...wanted, name: "" }).trim(),
      wanted.from && `from ${wanted.from}`,
    ];
    const limits = asked.filter((part) => part).join(" ");
    if (request.exclude?.includes(name)) {
      return { code: "no-candidate", what: `${name} is requested and excluded`, hint: "take it out of one of the two" };
    }
    return {
      code: "no-candidate",
      what: `${name}${limits ? ` ${limits}` : ""} is not to be had for ${wanted.architecture ?? request.architecture}`,
      expected: `one of ${formatVersions(versions)}`,
    };
  }
  const providers = candidates.options([{ name }], wanted.architecture ?? request.architecture);
  if (providers.length > 0) {
    const names = providers.map((provider) => provider.package.name);
    const preferred = request.prefer?.[name];
    return {
      code: "ambiguous-package",
      what:
        preferred === undefined
          ? `${name} is a virtual package that several packages provide`
          : `${preferred}, preferred for the virtual package ${name}, does not provide it`,
      expected: `one of ${listed(names)}`,
      hint: `name the package you want, or prefer one: { "${name}": "${names[0]}" }`,
    };
  }
  const near = index.nearestNames(name);
  return {
    code: "unknown-package",
    what: `there is no package "${name}" in ${listed([...new Set(index.sources.map((source) => source.suite))])}`,
    ...(near.length > 0 && { hint: `did you mean ${listed(near)}?` }),
  };
}

/** Two packages that must both be there and exclude each other. */
export function clashProblem(seed: Seed, conflict: Conflict): Problem {
  return {
    code: "unsatisfiable",
    what: `${conflict.text}: ${seed.candidate.package.name} is ${seed.reason.kind}, and ${chainOf(conflict.with)}`,
    hint: "leave one of them out",
  };
}

/** The chain of needs from what was requested to what cannot be had, and why each alternative is none. */
export function deadEndProblem(deadEnd: DeadEnd, index: PackageIndex, candidates: Candidates): Problem {
  const { owner, group, rejected } = deadEnd;
  const told = new Set<Candidate>();
  const reasons = group.flatMap((relation) => {
    const possible = new Set(candidates.matching(relation, owner.architecture));
    const conflicts = rejected.filter(({ option }) => possible.has(option) && !told.has(option));
    if (possible.size === 0) return [whyNothing(relation, owner, index, candidates)];
    for (const option of possible) told.add(option);
    return conflicts.map(({ option, conflict }) => {
      const name = option.package.name === relation.name ? relation.name : `${relation.name} by ${option.package.name}`;
      return `${name} cannot be taken: ${conflict.text} (${chainOf(conflict.with)})`;
    });
  });
  return {
    code: "unsatisfiable",
    what: `${chainOf(owner)}, ${owner.package.name} needs ${formatRelationGroup(group)}, and ${[...new Set(reasons)].join("; ")}`,
    hint: "leave out a package of this chain, or choose another alternative with `prefer`",
  };
}

/** Why no package at all satisfies the relation. */
function whyNothing(relation: Relation, owner: Chosen, index: PackageIndex, candidates: Candidates): string {
  const { name } = relation;
  const versions = index.versions(name);
  const candidate = candidates.candidate(name, owner.architecture);
  if (candidate !== undefined) {
    const suites = candidate.package.sources.map((source) => source.suite).join(", ");
    return `${name} is ${candidate.package.version} (${suites})`;
  }
  if (versions.length > 0) return `${name} is excluded or not to be had for ${owner.architecture}`;
  const providers = [...new Set(index.providers(name).map((version) => version.name))];
  if (providers.length > 0) return `${name} is provided by ${listed(providers)}, none of which fits or may be chosen`;
  return `there is no package ${name}`;
}

/** `slurmd is requested, slurmd needs munge (>= 0.5), munge needs libmunge2`: from the request to the package. */
function chainOf(chosen: Chosen): string {
  const links: string[] = [];
  let one = chosen;
  while (one.reason.kind === "dependency") {
    const { by, group } = one.reason;
    links.unshift(`${by.package.name} needs ${formatRelationGroup(group)}`);
    one = by;
  }
  return [`${one.package.name} is ${one.reason.kind}`, ...links].join(", ");
}

function formatVersions(versions: readonly PackageVersion[]): string {
  return listed(
    versions.map(
      ({ version, architecture, sources }) => `${version} (${architecture}, ${sources.map((s) => s.suite).join(", ")})`,
    ),
  );
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, 8).join(", ");
  return items.length > 8 ? `${shown} and ${items.length - 8} more` : shown;
}
