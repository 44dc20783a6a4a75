import { failure } from "../../base/error.ts";
import { nearestNames } from "../../base/nearest.ts";
import type { AnyServiceType } from "../../language/service-type.ts";
import { serviceCatalogue } from "../../services/catalogue.ts";
import type { Command } from "../command.ts";

export const systemSearch: Command = {
  positionals: "[TERM…]",
  minimumPositionals: 0,
  maximumPositionals: 20,
  options: {},
  examples: ["system search ssh", "system search", "system search -v network"],
  details: "With no term it lists all services; with -v, or when one is found, it tells their options and defaults.",
  async run(context) {
    const terms = context.positionals.map((term) => term.toLowerCase());
    const all = serviceCatalogue();
    const found = all.filter((type) => terms.every((term) => textOf(type).includes(term)));
    if (found.length === 0) {
      const near = nearestNames(
        terms.join("-"),
        all.map(({ name }) => name),
      );
      throw failure(
        "no-match",
        `no service matches ${terms.join(" ")}`,
        near.length > 0 ? { hint: `did you mean ${near.join(", ")}?` } : {},
      );
    }
    if (context.json) {
      const plain = found.map(({ name, description, options, defaults }) => ({ name, description, options, defaults }));
      return void context.print(JSON.stringify(plain, undefined, 2));
    }
    const isLong = context.verbose || found.length === 1;
    for (const type of found) context.print(isLong ? long(type) : `${type.name.padEnd(20)} ${type.description}`);
    return undefined;
  },
};

function textOf({ name, description, options }: AnyServiceType): string {
  return [name, description, ...Object.values(options)].join(" ").toLowerCase();
}

function long({ name, description, options, defaults }: AnyServiceType): string {
  const known = defaults as Record<string, unknown>;
  const lines = Object.entries(options).map(([option, text]) => {
    const value = Object.hasOwn(known, option) ? `default ${JSON.stringify(known[option])}` : "required";
    return `  ${option}: ${text}\n    ${value}`;
  });
  return [name, `  ${description}`, "", ...lines, ""].join("\n");
}
