import { failure } from "../../base/error.ts";
import { challenge as compare } from "../../store/challenge.ts";
import { cacheOptions, chosenCaches } from "../cache-options.ts";
import { type Command, exitCodes } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const challenge: Command = {
  positionals: "[PATH…]",
  minimumPositionals: 0,
  maximumPositionals: 10_000,
  options: {
    ...cacheOptions,
    diff: { type: "boolean", description: "fetch what differs, and tell where it first does" },
  },
  examples: ["challenge", "challenge ./result --diff --cache http://cache-1:8090"],
  details:
    "Compares items (all that were built, unless PATH names some) with those of caches, which others have built from the\n" +
    "same derivations. Ends with 1 when one is different. Signatures do not matter here.",
  run: async (context) => {
    const { store, items, named } = storeSession(context);
    const caches = chosenCaches(context, store);
    if (caches.length === 0) {
      throw failure("no-caches", "no cache is known to compare with", { hint: "meso caches add, or --cache URL" });
    }
    const records =
      context.positionals.length > 0
        ? context.positionals.map(named)
        : [...items.all()].filter(({ deriver }) => deriver !== undefined);
    const found = await compare(store, items, records, caches, {
      explain: context.options.diff === true,
      signal: context.signal,
    });
    const different = found.filter(({ verdict }) => verdict === "different");
    if (context.json) {
      const told = found.map((one) => ({
        ...one,
        others: one.others.map(({ trouble, ...other }) => ({ ...other, ...(trouble && { trouble: trouble.message }) })),
      }));
      context.print(JSON.stringify(told, undefined, 2));
    } else {
      for (const { path, narSha256, others } of different) {
        context.print(`${path}\n  here: ${narSha256}`);
        for (const other of others) {
          if (other.narSha256 !== undefined) context.print(`  ${other.cache}: ${other.narSha256}`);
          if (other.difference !== undefined) context.print(`    ${other.difference}`);
        }
      }
      const count = (verdict: string): number => found.filter((one) => one.verdict === verdict).length;
      context.print(
        `${count("same")} the same, ${count("different")} different, ${count("unknown")} not known elsewhere`,
      );
      const troubles = new Set(found.flatMap(({ others }) => others.flatMap(({ trouble }) => trouble?.message ?? [])));
      for (const trouble of troubles) context.report({ stage: "challenge", text: trouble, seconds: 0 });
    }
    return different.length > 0 ? exitCodes.failure : exitCodes.success;
  },
};
