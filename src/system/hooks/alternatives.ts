import { MesoError, type Problem } from "../../base/error.ts";
import { nearestNames } from "../../base/nearest.ts";
import { compareBytes, sortedBy } from "../../base/order.ts";
import { type DraftTree, fileAt, generatedFile, generatedLink, place } from "../draft-tree.ts";
import type { AlternativeEffect } from "../ledger/effects.ts";

type OfferedAlternative = AlternativeEffect & { readonly origin: string };

/**
 * Links as update-alternatives(1) leaves them: the generic name points to /etc/alternatives, which points to
 * the choice of highest priority, or to the one the person named; and its own records of all that, so that
 * the tool works inside the machine.
 *
 * @throws MesoError `unknown-alternative` for a choice that nothing offers.
 */
export function linkAlternatives(
  tree: DraftTree,
  offered: readonly OfferedAlternative[],
  choices: Readonly<Record<string, string>>,
): void {
  const groups = Map.groupBy(offered, ({ name }) => name);
  const problems: Problem[] = [];
  for (const name of Object.keys(choices)) if (!groups.has(name)) problems.push(unknownName(name, [...groups.keys()]));
  for (const [name, all] of groups) {
    const present = all.filter(({ path }) => fileAt(tree, path) !== undefined);
    const wanted = choices[name];
    const chosen = wanted === undefined ? best(present) : present.find(({ path }) => path === wanted);
    if (wanted !== undefined && chosen === undefined) problems.push(unknownChoice(name, wanted, present));
    if (chosen === undefined) continue;
    linkOne(tree, chosen, present);
    const record = administration(present, wanted === undefined ? "auto" : "manual");
    tree.set(`/var/lib/dpkg/alternatives/${name}`, generatedFile(record, { origin: chosen.origin }));
  }
  if (problems.length > 0) throw new MesoError(problems);
}

function best(offered: readonly OfferedAlternative[]): OfferedAlternative | undefined {
  return [...offered].sort((a, b) => b.priority - a.priority || compareBytes(a.path, b.path))[0];
}

function linkOne(tree: DraftTree, chosen: OfferedAlternative, all: readonly OfferedAlternative[]): void {
  const link = (name: string, from: string, to: string) => {
    const origin = chosen.origin;
    tree.set(`/etc/alternatives/${name}`, generatedLink(to, { origin }));
    place(tree, from, generatedLink(`/etc/alternatives/${name}`, { origin }));
  };
  // A link that a package ships itself stands for the same thing and gives way, as update-alternatives makes it.
  link(chosen.name, all[0]!.link, chosen.path);
  for (const slave of chosen.slaves) if (fileAt(tree, slave.path)) link(slave.name, slave.link, slave.path);
}

/** The format of /var/lib/dpkg/alternatives: update-alternatives(1), section FILES; one item a line. */
function administration(all: readonly OfferedAlternative[], status: "auto" | "manual"): string {
  const slaves = new Map(all.flatMap((one) => one.slaves.map((slave) => [slave.name, slave.link] as const)));
  const names = sortedBy(slaves.keys(), (name) => name);
  const lines: string[] = [status, all[0]!.link];
  for (const name of names) lines.push(name, slaves.get(name)!);
  lines.push("");
  for (const one of sortedBy(all, ({ path }) => path)) {
    lines.push(one.path, String(one.priority));
    for (const name of names) lines.push(one.slaves.find((slave) => slave.name === name)?.path ?? "");
  }
  lines.push("");
  return lines.map((line) => `${line}\n`).join("");
}

function unknownName(name: string, known: readonly string[]): Problem {
  const close = nearestNames(name, known);
  return {
    code: "unknown-alternative",
    what: `no installed package offers the alternative ${name}`,
    field: `alternatives.${name}`,
    expected: "the name of a group of alternatives of the installed packages",
    ...(close.length > 0 ? { hint: `did you mean ${close.join(" or ")}?` } : {}),
  };
}

function unknownChoice(name: string, wanted: string, present: readonly OfferedAlternative[]): Problem {
  return {
    code: "unknown-alternative",
    what: `${wanted} is no choice for the alternative ${name}`,
    field: `alternatives.${name}`,
    expected: `one of ${present.map(({ path }) => path).join(", ") || "none: nothing offers it"}`,
  };
}
