import { assert, failure } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { callerLocation } from "../base/location.ts";
import type { Complaint } from "./complaint.ts";
import type { OperatingSystem } from "./operating-system.ts";
import { attachFacts, describe, frozenCopy } from "./record.ts";

/** Options with every default filled in: what a service type's functions see. */
export type Complete<Options> = { readonly [K in keyof Options]-?: Options[K] };

type OptionalKeys<Options> = { [K in keyof Options]-?: object extends Pick<Options, K> ? K : never }[keyof Options];

/** A default for each option that may be left out. */
export type Defaults<Options> = { readonly [K in OptionalKeys<Options>]-?: Options[K] };

/** The options of a type that has none. */
export type NoOptions = Record<never, never>;

/** Who contributed something: the service's name, and where it was written. Never part of a hash. */
export interface Origin {
  readonly by: string;
  readonly where?: SourceLocation;
}

/** A contribution as its target receives it. */
export interface Received<Contribution> {
  readonly value: Contribution;
  readonly origin: Origin;
}

declare const contributionOf: unique symbol;
declare const optionsOf: unique symbol;

// biome-ignore lint/suspicious/noExplicitAny: lists hold services of all types; their functions are contravariant.
type Anything = any;

/** A kind of service, whatever its options and contributions. */
export interface AnyServiceType {
  /** Unique within a system. */
  readonly name: string;
  readonly description: string;
  /** A sentence for each option. */
  readonly options: Readonly<Record<string, string>>;
  readonly defaults: object;
  readonly extensions: readonly Extension<Anything>[];
  readonly extend?: (options: Anything, received: readonly Received<Anything>[]) => object;
  readonly validate?: (options: Anything) => readonly Complaint[];
  readonly instanceName?: (options: Anything) => string;
  readonly where?: SourceLocation;
}

/** A kind of service that takes contributions. */
export interface Target<Contribution> extends AnyServiceType {
  readonly [contributionOf]?: { readonly of: Contribution };
}

/**
 * A kind of service, and the function that makes one: `openssh({ port: 2222 })`. `Contribution` is what other
 * services may send to it; `never` for a type that takes nothing.
 */
export interface ServiceType<Options extends object, Contribution = never> extends Target<Contribution> {
  (...given: GivenOptions<Options>): Service<Options>;
  readonly [optionsOf]?: { readonly of: Options };
}

/** The options may be left out when each of them has a default. */
export type GivenOptions<Options> = object extends Options
  ? [options?: Readonly<Options>]
  : [options: Readonly<Options>];

/** What a service sends to a service of another type. */
export interface Extension<Options> {
  readonly target: AnyServiceType;
  readonly contribute: (options: Options, system: OperatingSystem) => unknown;
}

/** A service of a system: its type and its options. */
export interface Service<Options extends object = Anything> {
  readonly type: AnyServiceType;
  /** The type's name, with the instance's where a type has several: `getty@ttyS0`. */
  readonly name: string;
  readonly options: Complete<Options>;
}

interface DefinitionBase<Options extends object> {
  readonly name: string;
  /** What it is for, in a sentence or two: shown by `meso system search`. */
  readonly description: string;
  readonly options: { readonly [K in keyof Options]-?: string };
  readonly defaults: Defaults<Options>;
  readonly extensions?: readonly Extension<Complete<Options>>[];
  /** Rules that the options' types cannot state. */
  readonly validate?: (options: Complete<Options>) => readonly Complaint[];
  /** Present when a system may have several: what tells them apart (`ttyS0`). */
  readonly instanceName?: (options: Complete<Options>) => string;
}

/**
 * A definition. `extend` gives the options that follow from what other services sent, which arrives sorted by the
 * senders' names, so that the order in which services are listed changes nothing.
 */
export type ServiceTypeDefinition<Options extends object, Contribution> = DefinitionBase<Options> &
  ([Contribution] extends [never]
    ? { readonly extend?: never }
    : {
        readonly extend: (options: Complete<Options>, received: readonly Received<Contribution>[]) => Complete<Options>;
      });

/** Defines a kind of service. */
export function serviceType<Options extends object = NoOptions, Contribution = never>(
  definition: ServiceTypeDefinition<Options, Contribution>,
): ServiceType<Options, Contribution> {
  const where = callerLocation(serviceType);
  assert(/^[a-z][a-z0-9-]*$/.test(definition.name), `service type name ${describe(definition.name)} is kebab-case`);
  function make(given?: Options): Service<Options> {
    return serviceOf(type, given ?? {}, callerLocation(make)) as Service<Options>;
  }
  // A function's own name property is not writable, only configurable.
  Object.defineProperty(make, "name", { value: definition.name, enumerable: true });
  const type = Object.assign(make, {
    description: definition.description,
    options: Object.freeze({ ...definition.options }),
    defaults: frozenCopy(definition.defaults) as Partial<Options>,
    extensions: Object.freeze([...(definition.extensions ?? [])]),
    ...(definition.extend && { extend: definition.extend }),
    ...(definition.validate && { validate: definition.validate }),
    ...(definition.instanceName && { instanceName: definition.instanceName }),
    ...(where && { where }),
  }) as unknown as ServiceType<Options, Contribution>;
  return Object.freeze(type);
}

/**
 * An extension for a definition: what this type's services send to the service of type `target`.
 *
 * @throws MesoError `not-extensible` at once when `target` takes no contributions.
 */
export function extend<Options, Contribution>(
  target: Target<Contribution>,
  contribute: (options: Options, system: OperatingSystem) => NoInfer<Contribution>,
): Extension<Options> {
  assertExtensible(target, callerLocation(extend));
  return Object.freeze({ target, contribute });
}

/** A service of a type: the same as calling the type. */
export function service<Options extends object>(
  type: ServiceType<Options, Anything>,
  ...given: GivenOptions<Options>
): Service<Options> {
  return serviceOf(type, given[0] ?? {}, callerLocation(service)) as Service<Options>;
}

/** A service whose only work is one contribution: `simpleService("motd", etcFiles, [etcFile("/etc/motd", "Hi")])`. */
export function simpleService<Contribution>(
  name: string,
  target: Target<Contribution>,
  contribution: NoInfer<Contribution>,
): Service<NoOptions> {
  const where = callerLocation(simpleService);
  assertExtensible(target, where);
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw failure("wrong-name", `found the service name ${describe(name)}`, {
      ...(where && { where }),
      expected: "lower-case letters, digits and -, starting with a letter",
    });
  }
  const value = frozenCopy(contribution);
  const type = serviceType<NoOptions>({
    name,
    description: `Contributes to ${target.name}.`,
    options: {},
    defaults: {},
    extensions: [{ target, contribute: () => value }],
  });
  return serviceOf(type, {}, where);
}

/** A service as if written at `where`, possibly after another place, `inheritedFrom`. */
export function serviceOf(
  type: AnyServiceType,
  given: object,
  where: SourceLocation | undefined,
  inheritedFrom?: SourceLocation,
): Service<Anything> {
  const options = frozenCopy({ ...type.defaults, ...given });
  return attachFacts(
    { type, name: nameOf(type, options), options },
    {
      kind: "service",
      given: frozenCopy({ ...given }),
      fields: {},
      ...(where && { where }),
      ...(inheritedFrom && { inheritedFrom }),
    },
  );
}

/** Whether a missing service of this type can be made up from defaults alone. */
export function hasDefaultInstance(type: AnyServiceType): boolean {
  return Object.keys(type.options).every((option) => Object.hasOwn(type.defaults, option));
}

function nameOf(type: AnyServiceType, options: object): string {
  return type.instanceName ? `${type.name}@${type.instanceName(options)}` : type.name;
}

function assertExtensible(target: AnyServiceType, where: SourceLocation | undefined): void {
  if (typeof target?.extend === "function") return;
  throw failure("not-extensible", `the service type ${target?.name ?? describe(target)} takes no contributions`, {
    ...(where && { where }),
    ...(target?.where && { also: target.where }),
    hint: "extend another type, or give this one an `extend` function",
  });
}
