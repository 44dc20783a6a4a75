import type { AnyServiceType } from "../language/service-type.ts";
import { serviceExamples } from "./examples.ts";
import { optionTypes } from "./option-types.ts";

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
  };
}

/** What the arrow function gives, moved to the left margin. */
function exampleText(source: string): string {
  const [first = "", ...rest] = source.replace(/^\(\) =>\s*/, "").split("\n");
  const last = rest.at(-1) ?? "";
  const margin = last.length - last.trimStart().length;
  return [first, ...rest.map((line) => line.slice(margin))].join("\n");
}
