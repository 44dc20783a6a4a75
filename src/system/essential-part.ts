import type { Problem } from "../base/error.ts";
import { failure, MesoError } from "../base/error.ts";
import type { UserAccount, UserGroup } from "../language/account.ts";
import { recordProblems } from "../language/check.ts";
import type { Check } from "../language/complaint.ts";
import type { PackageWish } from "../language/package-reference.ts";
import { describe, locationOf } from "../language/record.ts";
import type {
  Complete,
  Extension,
  Origin,
  Received,
  ServiceType,
  ServiceTypeDefinition,
} from "../language/service-type.ts";
import { serviceType } from "../language/service-type.ts";
import type { Content, GeneratedFile, PackageFile } from "../language/text.ts";
import type { ConfigurationCheck } from "./essential-configuration.ts";
import type { CredentialWish } from "./essential-credentials.ts";
import type { ManifestCheck } from "./manifest.ts";

/** What services send to the root of the graph: a part of the system, each item with its origin. */
export interface SystemPart {
  readonly files?: readonly Received<FileWish>[];
  readonly packages?: readonly Received<PackageWish>[];
  readonly users?: readonly Received<UserAccount>[];
  readonly groups?: readonly Received<UserGroup>[];
  readonly enabledUnits?: readonly Received<string>[];
  readonly maskedUnits?: readonly Received<string>[];
  readonly alternatives?: readonly Received<readonly [name: string, target: string]>[];
  readonly kernelArguments?: readonly Received<string>[];
  readonly initrdModules?: readonly Received<string>[];
  readonly checks?: readonly Received<CheckWish>[];
  readonly configurationChecks?: readonly Received<ConfigurationCheck>[];
  readonly credentials?: readonly Received<CredentialWish>[];
}

interface PathAttributes {
  readonly path: string;
  /** Default: 0644 for files, 0755 for directories; 0o7777 at most. */
  readonly mode?: number;
  /** Owner and group by name; default root. */
  readonly user?: string;
  readonly group?: string;
  /** May take the place of a file that a package ships. */
  readonly replacesPackageFile?: boolean;
}

/** A path of the system as services ask for it, before its text is written out. */
export type FileWish =
  | (PathAttributes & { readonly kind: "file"; readonly content: Content | GeneratedFile })
  | (PathAttributes & { readonly kind: "directory" })
  | (PathAttributes & { readonly kind: "symlink"; readonly target: string | PackageFile | GeneratedFile });

/** A check, before it knows its service. */
export type CheckWish = ManifestCheck extends infer C ? (C extends unknown ? Omit<C, "service"> : never) : never;

/** The root of every graph: what reaches it is the system. */
export const systemRoot = serviceType<{ parts?: readonly SystemPart[] }, SystemPart>({
  name: "system",
  description: "The root of the service graph: what services contribute to it becomes the system.",
  options: { parts: "What makes up the system." },
  defaults: { parts: [] },
  extend: ({ parts }, received) => ({ parts: [...parts, ...received.map(({ value }) => value)] }),
});

interface CollectorOptions<Item> {
  items?: readonly Received<Item>[];
}

/** A service type that only gathers what others send, each item with its origin. */
export type Collector<Item, Contribution = readonly Item[]> = ServiceType<CollectorOptions<Item>, Contribution>;

/**
 * Defines a collector. `itemsOf` takes a contribution apart; without it contributions are lists. `check` looks at each
 * item; records among them are looked at in any case.
 */
export function collector<Item, Contribution = readonly Item[]>(definition: {
  readonly name: string;
  readonly description: string;
  readonly itemsOf?: (contribution: Contribution) => readonly Item[];
  readonly check?: Check;
  readonly extensions: readonly Extension<Complete<CollectorOptions<Item>>>[];
}): Collector<Item, Contribution> {
  const { name, description, itemsOf, check = () => [], extensions } = definition;
  const extend = (
    options: { readonly items: readonly Received<Item>[] },
    received: readonly Received<Contribution>[],
  ): { readonly items: readonly Received<Item>[] } => {
    const items = received.flatMap(({ value, origin }) => {
      const contributed = itemsOf ? itemsOf(value) : (value as readonly Item[]);
      if (!Array.isArray(contributed)) throw notAList(name, contributed, origin);
      return (contributed as readonly Item[]).map((item) => ({ value: item, origin: refined(origin, item) }));
    });
    const problems = items.flatMap((item) => itemProblems(name, item, check));
    if (problems.length > 0) throw new MesoError(problems);
    return { items: [...options.items, ...items] };
  };
  return serviceType<CollectorOptions<Item>, Contribution>({
    name,
    description,
    options: { items: "What the services of the system send." },
    defaults: { items: [] },
    extend,
    extensions,
    // The checker cannot see through conditional types of a Contribution that is not yet known.
  } as unknown as ServiceTypeDefinition<CollectorOptions<Item>, Contribution>);
}

/** What stands in fields of the operating system was looked at with the record, and is not told twice. */
const essentialPrefix = "essential-";

function itemProblems(target: string, { value, origin }: Received<unknown>, check: Check): Problem[] {
  if (origin.by.startsWith(essentialPrefix)) return [];
  const own = check(value).map((complaint) => ({ ...complaint, ...(origin.where && { where: origin.where }) }));
  return [...own, ...recordProblems(value)].map((problem) => ({
    ...problem,
    what: `${problem.what}, which ${origin.by} sends to ${target}`,
  }));
}

function notAList(target: string, contribution: unknown, origin: Origin): Error {
  return failure("wrong-type", `${origin.by} sends ${describe(contribution)} to ${target}`, {
    ...(origin.where && { where: origin.where }),
    expected: "a list",
    hint: "write [ … ] around it",
  });
}

// A record knows better than the service that carries it where it was written.
function refined(origin: Origin, item: unknown): Origin {
  const where = locationOf(item);
  return where ? { ...origin, where } : origin;
}
