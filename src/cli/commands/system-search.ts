import { failure } from "../../base/error.ts";
import { nearestNames } from "../../base/nearest.ts";
import type { AnyServiceType } from "../../language/service-type.ts";
import { serviceCatalogue } from "../../services/catalogue.ts";
import { describedService } from "../../services/described-service.ts";
import type { Command } from "../command.ts";
import { serviceText } from "../service-text.ts";

export const systemSearch: Command = {
  positionals: "[TERM…]",
  minimumPositionals: 0,
  maximumPositionals: 20,
  options: {},
  examples: ["system search ssh", "system search", "system search -v network"],
  details: "With no term it lists all services; with -v, or when one is found, it tells all about them.",
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
      return void context.print(JSON.stringify(found.map(describedService), undefined, 2));
    }
    const isLong = context.verbose || found.length === 1;
    for (const type of found)
      context.print(isLong ? serviceText(describedService(type)) : `${type.name.padEnd(20)} ${type.description}`);
    return undefined;
  },
};

function textOf({ name, description, options }: AnyServiceType): string {
  return [name, description, ...Object.values(options)].join(" ").toLowerCase();
}
