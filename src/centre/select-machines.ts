import { failure } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { compareBytes } from "../base/order.ts";
import type { Centre } from "../language/centre.ts";

/**
 * The paths of the machines that words select, sorted: a path (`slurm/ctld`), a pattern in which `*` stands for anything
 * but a slash and `**` for anything (`slurm/*`), or `@GROUP` for a redundancy group. No word selects every machine.
 *
 * @throws MesoError `no-such-machine` for a word that selects nothing, with the nearest names.
 */
export function selectMachines({ machines }: Pick<Centre, "machines">, words: readonly string[]): readonly string[] {
  const paths = Object.keys(machines).sort(compareBytes);
  if (words.length === 0) return paths;
  const selected = new Set<string>();
  for (const word of words) {
    const matching = paths.filter((path) =>
      word.startsWith("@") ? machines[path]!.group === word.slice(1) : fits(word, path),
    );
    if (matching.length === 0) throw selectsNothing(word, paths, machines);
    for (const path of matching) selected.add(path);
  }
  return paths.filter((path) => selected.has(path));
}

/** The one machine that a word names. @throws MesoError `no-such-machine`, or `usage` when it names several. */
export function selectMachine(centre: Pick<Centre, "machines">, word: string): string {
  const selected = selectMachines(centre, [word]);
  if (selected.length === 1) return selected[0]!;
  throw failure("usage", `${word} selects ${selected.length} machines`, {
    expected: "one machine",
    hint: selected.join(", "),
  });
}

function fits(pattern: string, path: string): boolean {
  const source = pattern
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replace(/\*\*|\*/g, (stars) => (stars === "**" ? ".*" : "[^/]*"));
  return new RegExp(`^${source}$`).test(path);
}

function selectsNothing(word: string, paths: readonly string[], machines: Centre["machines"]) {
  if (!word.startsWith("@"))
    return failure(
      "no-such-machine",
      `the centre has no machine ${word}`,
      word.endsWith(".ts") ? { hint: `a centre's program is named with --centre ${word}` } : nearestHint(word, paths),
    );
  const groups = [
    ...new Set(Object.values(machines).flatMap(({ group }) => (group === undefined ? [] : [`@${group}`]))),
  ];
  return failure("no-such-machine", `no machine is in the group ${word.slice(1)}`, nearestHint(word, groups));
}
