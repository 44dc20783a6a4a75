import { MesoError, type Problem } from "../../base/error.ts";
import { nearestNames } from "../../base/nearest.ts";
import { sortedBy } from "../../base/order.ts";
import type { FileEntry } from "../../store/file-tree.ts";
import { type DraftTree, generatedLink } from "../draft-tree.ts";
import { findUnit, type UnitFile, unitFolders, unitSection } from "./unit-files.ts";

const folder = "/etc/systemd/system";

/**
 * Links as `systemctl enable` and `systemctl mask` make them, for the units named and what they name in Also=;
 * nothing else is enabled.
 *
 * @throws MesoError `unknown-unit`, `unit-without-install`, `masked-unit-exists`, all at once.
 */
export function enableUnits(
  tree: DraftTree,
  enabled: readonly string[],
  masked: readonly string[],
  readFile: (entry: FileEntry) => Uint8Array,
): void {
  const problems: Problem[] = [];
  const done = new Set<string>();
  const waiting = sortedBy(enabled, (name) => name).map((name) => ({ name, required: true }));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { name, required } = next;
    if (done.has(name)) continue;
    done.add(name);
    const unit = findUnit(tree, name);
    if (unit === undefined) {
      if (required) problems.push(unknownUnit(tree, name));
      continue;
    }
    const install = unitSection(tree, unit, "Install", readFile);
    if (required && install.size === 0) problems.push(withoutInstall(name, unit));
    link(tree, name, unit, install);
    for (const also of words(install.get("Also"))) waiting.push({ name: specify(also, name, unit), required: false });
  }
  for (const name of masked) {
    const path = `${folder}/${name}`;
    const existing = tree.get(path);
    if (existing && !(existing.kind === "symlink" && existing.target === "/dev/null"))
      problems.push(notMaskable(name, existing.origin));
    else tree.set(path, generatedLink("/dev/null", { origin: "masked units" }));
  }
  if (problems.length > 0) throw new MesoError(problems);
}

function link(tree: DraftTree, name: string, unit: UnitFile, install: ReadonlyMap<string, readonly string[]>): void {
  const instance = unit.instance ?? install.get("DefaultInstance")?.at(-1);
  const isTemplate = unit.name.includes("@.");
  const linkName = isTemplate && instance !== undefined ? unit.name.replace("@.", `@${instance}.`) : unit.name;
  const placed = (path: string) => tree.set(path, generatedLink(unit.path, { origin: `enabled unit ${name}` }));
  for (const [key, suffix] of [
    ["WantedBy", "wants"],
    ["RequiredBy", "requires"],
    ["UpheldBy", "upholds"],
  ] as const) {
    if (isTemplate && instance === undefined) continue;
    for (const target of words(install.get(key)))
      placed(`${folder}/${specify(target, linkName, unit)}.${suffix}/${linkName}`);
  }
  for (const alias of words(install.get("Alias"))) placed(`${folder}/${specify(alias, linkName, unit)}`);
}

function words(values: readonly string[] | undefined): string[] {
  return (values ?? []).flatMap((value) => value.split(/\s+/)).filter((word) => word !== "");
}

/** The specifiers that [Install] may hold and that do not depend on the machine (systemd.unit(5), SPECIFIERS). */
function specify(text: string, name: string, unit: UnitFile): string {
  const stem = name.replace(/\.[a-z]+$/, "");
  const prefix = stem.replace(/@.*$/, "");
  const instance = unit.instance ?? /@(.+)$/.exec(stem)?.[1] ?? "";
  const values: Record<string, string> = {
    "%": "%",
    n: name,
    N: stem,
    p: prefix,
    P: prefix,
    i: instance,
    I: instance,
    j: prefix.slice(prefix.lastIndexOf("-") + 1),
  };
  return text.replace(/%(.)/g, (whole, letter: string) => values[letter] ?? whole);
}

function unknownUnit(tree: DraftTree, name: string): Problem {
  const names = [...tree.keys()].flatMap((path) => {
    const found = unitFolders.find((one) => path.startsWith(`${one}/`) && !path.slice(one.length + 1).includes("/"));
    return found ? [path.slice(found.length + 1)] : [];
  });
  const close = nearestNames(name, names);
  return {
    code: "unknown-unit",
    what: `the unit ${name} is to be enabled, and no package or service brings it`,
    field: "services",
    expected: "a unit of an installed package, or one that a service generates",
    ...(close.length > 0 ? { hint: `did you mean ${close.join(" or ")}?` } : {}),
  };
}

function withoutInstall(name: string, unit: UnitFile): Problem {
  return {
    code: "unit-without-install",
    what: `the unit ${name} (${unit.path}) cannot be enabled: it has no [Install] section`,
    field: "services",
    expected: "a unit that says who wants it",
    hint: "add a drop-in with [Install] WantedBy=multi-user.target, or let another unit want it",
  };
}

function notMaskable(name: string, origin: string): Problem {
  return {
    code: "masked-unit-exists",
    what: `the unit ${name} is to be masked, and ${origin} puts it or its link into ${folder}`,
    field: "services",
    expected: "a unit that is either masked or brought, not both",
  };
}
