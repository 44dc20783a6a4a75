import { defineOperatingSystem } from "../language/operating-system.ts";
import type { AnyServiceType, Service, Target } from "../language/service-type.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials, secretFiles } from "../system/essential-credentials.ts";
import { checks } from "../system/essential-profile.ts";
import { serviceExamples } from "./examples.ts";
import { firewall } from "./firewall.ts";
import { optionTypes } from "./option-types.ts";
import { state } from "./state.ts";

/** All that is told about a service type of the catalogue. */
export interface DescribedService {
  readonly name: string;
  /** What programs call, and import from `mesoforge/services`. */
  readonly function: string;
  readonly description: string;
  readonly options: readonly DescribedOption[];
  /** Declarations, in TypeScript, of what the options' types name. */
  readonly records: readonly string[];
  /** A use of it, in TypeScript. */
  readonly example: string | undefined;
  /** What that use brings about beside files and packages. */
  readonly brings: DescribedContributions;
}

export interface DescribedContributions {
  /** Programs that judge its configuration when a system is built. */
  readonly judgedBy: readonly string[];
  /** What it opens in the firewall, in the words of nft(8). */
  readonly opens: readonly string[];
  /** Folders whose contents last. */
  readonly keeps: readonly string[];
  /** Secrets, by name. */
  readonly secrets: readonly string[];
  /** What is looked at to know whether it works. */
  readonly checks: readonly string[];
}

export interface DescribedOption {
  readonly name: string;
  /** In TypeScript; `unknown` where the source does not tell. */
  readonly type: string;
  readonly isRequired: boolean;
  /** As JSON says it; `undefined` for options without value. */
  readonly default: string | undefined;
  readonly text: string;
}

export function describedService(type: AnyServiceType): DescribedService {
  const { types, records } = optionTypes(type);
  const defaults = type.defaults as Readonly<Record<string, unknown>>;
  const example = serviceExamples[type.name];
  return {
    name: type.name,
    function: type.name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
    description: type.description,
    options: Object.entries(type.options).map(([name, text]) => ({
      ...{ name, text, type: types[name] ?? "unknown" },
      isRequired: !Object.hasOwn(defaults, name),
      default: JSON.stringify(defaults[name])?.replace(/ {2,}/g, " "),
    })),
    records,
    example: example && exampleText(String(example)),
    brings: contributionsOf(example?.()),
  };
}

/** What the service itself sends to others, in a system that has nothing else. */
function contributionsOf(service: Service | undefined): DescribedContributions {
  const os = defineOperatingSystem({ packages: [], services: [] })({ hostName: "slurm", fileSystems: [] });
  function sent<Item>(target: Target<readonly Item[]>): Item[] {
    const extensions = service?.type.extensions.filter((extension) => extension.target === target) ?? [];
    return extensions.flatMap(({ contribute }) => contribute(service!.options, os) as readonly Item[]);
  }
  const files = sent(secretFiles).flatMap(({ secrets }) => Object.values(secrets));
  const unique = (names: readonly string[]) => [...new Set(names)];
  return {
    judgedBy: unique(sent(configurationChecks).map(({ name }) => name)),
    opens: unique(
      sent(firewall)
        .flat()
        .map(({ match, from }) => (from.length > 0 ? `${match} from ${from.join(", ")}` : match)),
    ),
    keeps: unique(
      sent(state)
        .flat()
        .map(({ path }) => path),
    ),
    secrets: unique([...files, ...sent(credentials).map(({ secret }) => secret)].map(({ name }) => name)),
    checks: unique(sent(checks).map(({ name }) => name)),
  };
}

/** The same for people: `{ does: "keeps", what: ["/var/lib/ldap"] }`. */
export function wordsOf(brings: DescribedContributions): { readonly does: string; readonly what: readonly string[] }[] {
  return [
    { does: "judged when built by", what: brings.judgedBy },
    { does: "opens", what: brings.opens },
    { does: "keeps", what: brings.keeps },
    { does: "needs the secrets", what: brings.secrets },
    { does: "healthy when", what: brings.checks },
  ].filter(({ what }) => what.length > 0);
}

/** What the arrow function gives, moved to the left margin. */
function exampleText(source: string): string {
  const [first = "", ...rest] = source.replace(/^\(\) =>\s*/, "").split("\n");
  const last = rest.at(-1) ?? "";
  const margin = last.length - last.trimStart().length;
  return [first, ...rest.map((line) => line.slice(margin))].join("\n");
}
