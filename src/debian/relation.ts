import { failure } from "../base/error.ts";
import type { VersionConstraint, VersionOperator } from "./version.ts";

/** One alternative of a dependency field (Debian Policy 7.1; deb-control(5)). */
export interface Relation {
  readonly name: string;
  /** The part after the colon: `any`, `native` or an architecture's name. */
  readonly qualifier?: string;
  readonly constraint?: VersionConstraint;
  /** `[amd64 !hurd-any]`: architectures the relation is limited to. */
  readonly architectures?: readonly string[];
  /** `<!nocheck> <cross>`: build profiles, a disjunction of conjunctions. */
  readonly profiles?: readonly (readonly string[])[];
}

/** All groups must hold; of a group, any one alternative. */
export type RelationGroup = readonly Relation[];

/**
 * The relations of a `Depends`-like field: groups between commas, alternatives between bars. Line breaks count
 * as spaces and one trailing comma is let pass, as dpkg does. Throws a `MesoError` (`bad-relation`) on other text.
 */
export function parseRelations(text: string): RelationGroup[] {
  const groups: RelationGroup[] = [];
  let group: Relation[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    if (group.length === 0 && groups.length >= maximumGroups) throw bad(text, at, `more than ${maximumGroups} groups`);
    relationPattern.lastIndex = at;
    const match = relationPattern.exec(text);
    if (match === null) throw bad(text, at, "no package relation here");
    group.push(toRelation(match));
    at = relationPattern.lastIndex;
    if (text[at] === "|") {
      at = skipSpace(text, at + 1);
      if (at === text.length) throw bad(text, at, "an alternative is missing after the bar");
    } else if (at === text.length || text[at] === ",") {
      groups.push(group);
      group = [];
      at = skipSpace(text, at + 1);
    } else {
      throw bad(text, at, "text that is no part of a relation");
    }
  }
  return groups;
}

/** The relation as it is written in a control file, without restrictions: `libc6:any (>= 2.36)`. */
export function formatRelation(relation: Relation): string {
  const qualifier = relation.qualifier === undefined ? "" : `:${relation.qualifier}`;
  const { constraint } = relation;
  return `${relation.name}${qualifier}${constraint ? ` (${constraint.operator} ${constraint.version})` : ""}`;
}

export function formatRelationGroup(group: RelationGroup): string {
  return group.map(formatRelation).join(" | ");
}

/** Debian's longest fields have a few thousand; a bound keeps hostile text from filling the memory. */
const maximumGroups = 100_000;

/** Name, qualifier, (operator version), [architectures], <profiles>; spaces may stand between all of them. */
const relationPattern =
  /([a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::([a-z0-9][a-z0-9-]*))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([A-Za-z0-9.+~:-]+)\s*\)\s*)?(?:\[([^\][]*)\]\s*)?((?:<[^<>]*>\s*)*)/y;

/** `<` and `>` are the obsolete spellings of `<=` and `>=` (Policy 7.1). */
const obsoleteOperators: Readonly<Record<string, VersionOperator>> = { "<": "<=", ">": ">=" };

function toRelation(match: RegExpExecArray): Relation {
  const [, name, qualifier, operator, version, architectures, profiles] = match;
  const relation: { -readonly [Key in keyof Relation]: Relation[Key] } = { name: name! };
  if (qualifier !== undefined) relation.qualifier = qualifier;
  if (operator !== undefined) {
    relation.constraint = {
      operator: obsoleteOperators[operator] ?? (operator as VersionOperator),
      version: version!,
    };
  }
  if (architectures !== undefined) relation.architectures = words(architectures);
  if (profiles) relation.profiles = [...profiles.matchAll(/<([^<>]*)>/g)].map((profile) => words(profile[1]!));
  return relation;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at]!)) at++;
  return at;
}

function bad(text: string, at: number, why: string): Error {
  const start = Math.max(0, at - 30);
  const near = text.slice(start, at + 30).replaceAll(/\s+/g, " ");
  return failure("bad-relation", `${why}, at character ${at}: "${start > 0 ? "..." : ""}${near}"`, {
    expected: "name[:architecture] [(operator version)], alternatives separated by |, groups by commas",
  });
}
