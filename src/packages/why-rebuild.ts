import { sortedBy } from "../base/order.ts";
import type { Derivation, ReadDerivation } from "../store/derivation.ts";

/** One thing that makes a derivation another one than it was. */
export interface RebuildReason {
  /** Names of derivations from the package down to where the change is. */
  readonly chain: readonly string[];
  readonly what: string;
}

/**
 * Why a derivation differs from an earlier one: the changes themselves, not what merely follows from them.
 *
 * @param nameOf a derivation's name without its hash.
 */
export function rebuildReasons(
  before: string,
  after: string,
  read: ReadDerivation,
  nameOf: (path: string) => string,
): readonly RebuildReason[] {
  const reasons: RebuildReason[] = [];
  const seen = new Set<string>();
  const compare = (old: string, fresh: string, above: readonly string[]): void => {
    if (old === fresh || seen.has(`${old} ${fresh}`)) return;
    seen.add(`${old} ${fresh}`);
    const chain = [...above, nameOf(fresh)];
    const [left, right] = [read(old), read(fresh)];
    const inputs = pairs([...left.inputDerivations.keys()], [...right.inputDerivations.keys()], nameOf);
    for (const { what } of inputs.others) reasons.push({ chain, what });
    const own = ownChanges(left, right, inputs.pairs, read);
    for (const what of own) reasons.push({ chain, what });
    for (const [one, other] of inputs.pairs) compare(one, other, chain);
  };
  compare(before, after, []);
  return reasons;
}

/** Inputs that go together by name, first with the version and then without it. */
function pairs(before: readonly string[], after: readonly string[], nameOf: (path: string) => string) {
  const left = new Set(before.filter((path) => !after.includes(path)));
  const right = new Set(after.filter((path) => !before.includes(path)));
  const found: [string, string][] = [];
  const others: { what: string }[] = [];
  const stems = [nameOf, (path: string) => nameOf(path).replace(/[-_][0-9].*?(?=\.orig|\.debian|\.diff|\.tar|$)/, "")];
  for (const stem of stems) {
    for (const one of sortedBy(left, nameOf)) {
      const other = [...right].find((candidate) => stem(candidate) === stem(one));
      if (other === undefined) continue;
      left.delete(one);
      right.delete(other);
      found.push([one, other]);
      if (nameOf(one) !== nameOf(other)) others.push({ what: `${nameOf(one)} becomes ${nameOf(other)}` });
    }
  }
  for (const path of sortedBy(left, nameOf)) others.push({ what: `no longer needs ${nameOf(path)}` });
  for (const path of sortedBy(right, nameOf)) others.push({ what: `now needs ${nameOf(path)}` });
  return { pairs: found, others };
}

/** Differences of a derivation's own words, store paths of inputs aside. */
function ownChanges(
  before: Derivation,
  after: Derivation,
  inputs: readonly [string, string][],
  read: ReadDerivation,
): string[] {
  const moved = new Map<string, string>();
  const note = (left: Derivation, right: Derivation): void => {
    for (const [name, { path }] of left.outputs) {
      const other = right.outputs.get(name)?.path;
      if (other !== undefined) moved.set(path, other);
    }
  };
  for (const [one, other] of inputs) note(read(one), read(other));
  note(before, after);
  const ownName = (one: Derivation) => one.environment.get("name") ?? "";
  if (ownName(before) !== ownName(after)) moved.set(ownName(before), ownName(after));
  const renamed = (text: string): string => {
    let result = text;
    for (const [from, to] of moved) result = result.replaceAll(from, to);
    return result;
  };
  const changes: string[] = [];
  const names = new Set([...before.environment.keys(), ...after.environment.keys()]);
  for (const name of sortedBy(names, (one) => one)) {
    if (before.outputs.has(name) || after.outputs.has(name)) continue;
    const [left, right] = [before.environment.get(name), after.environment.get(name)];
    if (left !== undefined && renamed(left) === right) continue;
    const isList = (left ?? "").includes("\n") || (right ?? "").includes("\n");
    changes.push(isList ? `${name} changes` : `${name}: ${left ?? "none"} becomes ${right ?? "none"}`);
  }
  const [left, right] = [before, after].map((one) => one.arguments.join("\n")) as [string, string];
  if (renamed(left) !== right) changes.push(...lineChanges(renamed(left), right));
  const fixed = (one: Derivation) => one.outputs.get("out")?.fixed?.digest;
  if (fixed(before) !== fixed(after)) changes.push(`sha256: ${fixed(before)} becomes ${fixed(after)}`);
  const sources = [before, after].map((one) => one.inputSources.join(" ")) as [string, string];
  if (sources[0] !== sources[1]) changes.push("its local source changes");
  return changes;
}

/** Lines of the build script that only one of them has: a few are enough to see what it is about. */
function lineChanges(before: string, after: string): string[] {
  const [left, right] = [new Set(before.split("\n")), new Set(after.split("\n"))];
  const gone = [...left].filter((line) => !right.has(line)).map((line) => `script without: ${line}`);
  const fresh = [...right].filter((line) => !left.has(line)).map((line) => `script with: ${line}`);
  const all = [...gone, ...fresh];
  return all.length === 0 ? ["its script runs in another order"] : all.slice(0, 12);
}
