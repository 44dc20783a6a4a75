import type { Problem } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import type { Origin } from "../language/service-type.ts";
import type { SystemManifest } from "./manifest.ts";

/**
 * A problem for each wished package that the channel does not have, with the nearest names that it has.
 *
 * @param isKnown whether some package has or provides a name.
 * @param knownNames all names, only asked for when a suggestion is needed.
 */
export function unknownPackageProblems(
  manifest: SystemManifest,
  isKnown: (name: string) => boolean,
  knownNames: () => Iterable<string>,
): Problem[] {
  return manifest.packages
    .filter(({ name }) => !isKnown(name))
    .map(({ name, origins }) => {
      const [first, second] = origins.map(({ where }) => where);
      return {
        code: "unknown-package",
        what: `${askers(origins)} the package ${name}, which ${manifest.channel.suite} does not have`,
        ...(first && { where: first }),
        ...(second && { also: second }),
        ...nearestHint(name, knownNames()),
      };
    });
}

/** What the record itself wishes for comes from no service that a person knows. */
function askers(origins: readonly Origin[]): string {
  const services = [...new Set(origins.map(({ by }) => by))].filter((by) => by !== "essential-wishes");
  return services.length === 0 ? "the system wishes for" : `${services.join(" and ")} needs`;
}
