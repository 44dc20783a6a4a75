import { failure } from "../base/error.ts";
import type { Relation, RelationGroup } from "./relation.ts";
import type { Candidate, Candidates } from "./resolve-candidates.ts";
import { isMeant, satisfies } from "./resolve-candidates.ts";

export type Reason =
  | { readonly kind: "requested" }
  | { readonly kind: "essential" }
  | {
      readonly kind: "dependency";
      readonly by: Chosen;
      readonly group: RelationGroup;
      readonly field: DependencyField;
    };

export type DependencyField = "Pre-Depends" | "Depends" | "Recommends";

/** A candidate that is part of the set, and why. */
export interface Chosen extends Candidate {
  readonly reason: Reason;
  /** The decisions without which it would not be here, one bit each; zero: it is here in any solution. */
  readonly decisions: bigint;
}

/** Why there is no way on: `owner` needs `group` and none of the options can be taken. */
export interface DeadEnd {
  readonly owner: Chosen;
  readonly group: RelationGroup;
  readonly rejected: readonly Rejection[];
  /** The decisions that together led here; one of them has to change. */
  readonly decisions: bigint;
}

/** An option that cannot be taken beside `conflict.with`; `text` is the relation that says so. */
export interface Rejection {
  readonly option: Candidate;
  readonly conflict: Conflict;
}

export interface Conflict {
  readonly with: Chosen;
  readonly text: string;
}

export interface Seed {
  readonly candidate: Candidate;
  readonly reason: Reason;
}

export interface SearchRules {
  readonly architecture: string;
  /** Whether what the package of this name recommends is wanted. */
  readonly recommendsCount: (name: string) => boolean;
  /** Bound on tries, against indices made to be hard. */
  readonly maximumTries: number;
}

export type SearchResult =
  | { readonly kind: "solved"; readonly chosen: readonly Chosen[] }
  | { readonly kind: "clash"; readonly seed: Seed; readonly conflict: Conflict }
  | { readonly kind: "dead-end"; readonly deadEnd: DeadEnd };

/**
 * The set that holds all seeds and what they need. Goes depth first in the order of the fields, as apt does when
 * it marks packages, and takes the first option of each group. At a dead end it goes back to the last decision
 * that has to do with it (conflict-directed backjumping), so that a solution is found if there is one. Throws a
 * `MesoError` (`resolution-too-hard`) beyond the bound on tries.
 */
export function search(seeds: readonly Seed[], candidates: Candidates, rules: SearchRules): SearchResult {
  const set = newChosenSet();
  const decisions: Decision[] = [];
  let triesLeft = rules.maximumTries;

  for (const seed of seeds) {
    const conflict = set.conflictOf(seed.candidate);
    if (conflict !== undefined) return { kind: "clash", seed, conflict };
    set.add({ ...seed.candidate, reason: seed.reason, decisions: 0n });
  }
  let goal: Goal | undefined;
  for (const chosen of [...set.all()].reverse()) goal = withGoalsOf(chosen, goal, rules);
  while (goal !== undefined) {
    const step = pursue(goal);
    const way: Way = "deadEnd" in step ? goBack(step.deadEnd) : step;
    if ("deadEnd" in way) return { kind: "dead-end", deadEnd: way.deadEnd };
    goal = way.goal;
  }
  return { kind: "solved", chosen: [...set.all()] };

  /** Reaches one goal; what is left to reach then, or why there is no way. */
  function pursue({ owner, group, field, next }: Goal): Way {
    if (set.satisfies(group, owner.architecture, rules.architecture)) return { goal: next };
    const open: Candidate[] = [];
    const rejected: Rejection[] = [];
    for (const option of candidates.options(group, owner.architecture)) {
      const conflict = set.conflictOf(option);
      if (conflict === undefined) open.push(option);
      else rejected.push({ option, conflict });
    }
    const because = rejected.reduce((bits, { conflict }) => bits | conflict.with.decisions, owner.decisions);
    const isOptional = field === "Recommends";
    if (open.length === 0) {
      return isOptional ? { goal: next } : { deadEnd: { owner, group, rejected, decisions: because } };
    }
    const reason: Reason = { kind: "dependency", by: owner, group, field };
    if (open.length === 1 && !isOptional) return { goal: take(open[0]!, reason, because, next) };
    const decision = { untried: open.values(), reason, isOptional, next, size: set.size(), blamed: because };
    decisions.push(decision);
    return { goal: take(decision.untried.next().value!, reason, lastBit(), next) };
  }

  /** Takes the next option of the last decision that the dead end blames, and forgets the later ones. */
  function goBack(from: DeadEnd): Way {
    let deadEnd = from;
    for (;;) {
      const decision = decisions.at(-1);
      if (decision === undefined) return { deadEnd };
      set.shrink(decision.size);
      const bit = lastBit();
      if ((deadEnd.decisions & bit) !== 0n) {
        decision.first ??= deadEnd;
        decision.blamed |= deadEnd.decisions & ~bit;
        const { value: option } = decision.untried.next();
        if (option !== undefined) return { goal: take(option, decision.reason, bit, decision.next) };
        if (decision.isOptional) {
          decisions.pop();
          return { goal: decision.next };
        }
        deadEnd = { ...decision.first, decisions: decision.blamed };
      }
      decisions.pop();
    }
  }

  function take(option: Candidate, reason: Reason, because: bigint, next: Goal | undefined): Goal | undefined {
    if (triesLeft-- <= 0) {
      throw failure("resolution-too-hard", `no set of packages was found within ${rules.maximumTries} tries`, {
        hint: "say which alternative or provider you want, with `prefer` or by listing the package itself",
      });
    }
    const chosen = { ...option, reason, decisions: because };
    set.add(chosen);
    return withGoalsOf(chosen, next, rules);
  }

  function lastBit(): bigint {
    return 1n << BigInt(decisions.length - 1);
  }
}

type Way = { readonly goal: Goal | undefined } | { readonly deadEnd: DeadEnd };

/** A group with several options, one of which is taken at present; its place in the list is its bit. */
interface Decision {
  readonly untried: Iterator<Candidate, undefined>;
  readonly reason: Reason;
  /** Whether going on without any of the options is a way too. */
  readonly isOptional: boolean;
  /** The goals that were left when the decision was made, and the size of the set. */
  readonly next: Goal | undefined;
  readonly size: number;
  /** The first option's dead end, which is the one to tell. */
  first?: DeadEnd;
  /** All earlier decisions that had a part in the failures so far. */
  blamed: bigint;
}

interface Goal {
  readonly owner: Chosen;
  readonly group: RelationGroup;
  readonly field: DependencyField;
  readonly next: Goal | undefined;
}

/** The goals of a package before those that were there. */
function withGoalsOf(owner: Chosen, goals: Goal | undefined, rules: SearchRules): Goal | undefined {
  const { preDepends, depends, recommends } = owner.package;
  let next = goals;
  const prepend = (groups: readonly RelationGroup[], field: DependencyField) => {
    for (let i = groups.length - 1; i >= 0; i--) next = { owner, group: groups[i]!, field, next };
  };
  if (rules.recommendsCount(owner.package.name)) prepend(recommends, "Recommends");
  prepend(depends, "Depends");
  prepend(preDepends, "Pre-Depends");
  return next;
}

/** The chosen packages, by the names they answer to and by the names they refuse; shrinks in the order it grew. */
function newChosenSet() {
  const order: Chosen[] = [];
  const byName = new Map<string, Chosen[]>();
  const refusals = new Map<string, { relation: Relation; by: Chosen; field: string }[]>();

  const namesOf = (candidate: Candidate) =>
    new Set([candidate.package.name, ...candidate.package.provides.map((group) => group[0]!.name)]);

  return {
    size: () => order.length,
    all: () => order.values(),
    add(chosen: Chosen): void {
      order.push(chosen);
      for (const name of namesOf(chosen)) append(byName, name, chosen);
      for (const { relation, field } of refusalsOf(chosen)) {
        append(refusals, relation.name, { relation, by: chosen, field });
      }
    },
    shrink(size: number): void {
      while (order.length > size) {
        const chosen = order.pop()!;
        for (const name of namesOf(chosen)) byName.get(name)!.pop();
        for (const { relation } of refusalsOf(chosen)) refusals.get(relation.name)!.pop();
      }
    },
    satisfies(group: RelationGroup, ownerArchitecture: string, native: string): boolean {
      return group.some((relation) =>
        byName.get(relation.name)?.some((chosen) => satisfies(chosen, relation, ownerArchitecture, native)),
      );
    },
    /** What forbids to add the candidate. */
    conflictOf(candidate: Candidate): Conflict | undefined {
      const { name } = candidate.package;
      for (const other of byName.get(name) ?? []) {
        if (other.package.name === name && !canStandBeside(candidate, other)) {
          const versions = `${candidate.package.version} (${candidate.architecture})`;
          return { with: other, text: `${name} ${versions} cannot be beside ${formatChosen(other)}` };
        }
      }
      for (const { relation, field } of refusalsOf(candidate)) {
        for (const other of byName.get(relation.name) ?? []) {
          if (other.package.name !== name && isMeant(other, relation)) {
            return { with: other, text: `${name} ${field} ${formatChosen(other)}` };
          }
        }
      }
      for (const answered of namesOf(candidate)) {
        for (const { relation, by, field } of refusals.get(answered) ?? []) {
          if (by.package.name !== name && isMeant(candidate, relation)) {
            return { with: by, text: `${by.package.name} ${field} ${name} ${candidate.package.version}` };
          }
        }
      }
      return undefined;
    },
  };
}

function refusalsOf(candidate: Candidate): { relation: Relation; field: string }[] {
  const { conflicts, breaks } = candidate.package;
  return [
    ...conflicts.flatMap((group) => group.map((relation) => ({ relation, field: "conflicts with" }))),
    ...breaks.flatMap((group) => group.map((relation) => ({ relation, field: "breaks" }))),
  ];
}

/** Two architectures of one package: only `Multi-Arch: same`, and only in one version. */
function canStandBeside(a: Candidate, b: Candidate): boolean {
  if (a.architecture === b.architecture) return a.package === b.package;
  const areCoinstallable = a.package.multiArch === "same" && b.package.multiArch === "same";
  return areCoinstallable && a.package.version === b.package.version;
}

function formatChosen(chosen: Chosen): string {
  return `${chosen.package.name} ${chosen.package.version} (${chosen.architecture})`;
}

function append<T>(lists: Map<string, T[]>, name: string, item: T): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [item]);
  else list.push(item);
}
