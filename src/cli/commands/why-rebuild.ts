import { failure } from "../../base/error.ts";
import { rebuildReasons } from "../../packages/why-rebuild.ts";
import { readDerivation } from "../../store/realise.ts";
import { nameOfPath } from "../../store/store-path.ts";
import { type Command, programOptions } from "../command.ts";
import { namedPackages } from "../package-words.ts";

export const whyRebuildCommand: Command = {
  positionals: "PACKAGE [OTHER]",
  minimumPositionals: 1,
  maximumPositionals: 2,
  options: { lock: programOptions.lock },
  examples: ["why-rebuild slurm", "why-rebuild packages.ts#pmix_4 packages.ts#pmix_5"],
  details:
    "Tells what makes a package another one than the last that was built here under its name, or than OTHER: the changes\n" +
    "themselves, each with the way that leads to it.",
  async run(context) {
    const { items, wanted } = await namedPackages(context, context.positionals);
    const fresh = wanted.at(0)!.path;
    const old = wanted.length > 1 ? wanted[1]!.path : lastBuilt();
    const [before, after] = wanted.length > 1 ? [fresh, old] : [old, fresh];
    const reasons = rebuildReasons(before, after, (path) => readDerivation(items, path), nameOfPath);
    if (context.json) context.print(JSON.stringify({ before, after, reasons }, undefined, 2));
    else if (reasons.length === 0) context.print("nothing has changed");
    else for (const { chain, what } of reasons) context.print(`${chain.join(" ← ")}: ${what}`);
    return undefined;

    function lastBuilt(): string {
      const { derivation } = wanted[0]!;
      const isMade = [...derivation.outputs.values()].every(({ path }) => items.record(path));
      if (isMade) return fresh;
      const stem = nameOfPath(fresh).replace(/-[^-]*$/, "");
      let newest: { readonly deriver: string; readonly at: number } | undefined;
      for (const { path, deriver, registeredSeconds: at } of items.all()) {
        if (deriver === undefined || !items.record(deriver)) continue;
        if (nameOfPath(path).replace(/-[^-]*$/, "") !== stem || (newest && newest.at >= at)) continue;
        newest = { deriver, at };
      }
      if (newest) return newest.deriver;
      throw failure("nothing-before", `nothing was built as ${stem} here yet`, {
        hint: "name what to compare with as a second package",
      });
    }
  },
};
