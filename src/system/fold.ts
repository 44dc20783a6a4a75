import type { Problem } from "../base/error.ts";
import { assert, MesoError } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { locationOf } from "../language/record.ts";
import type { AnyServiceType, Extension, Origin, Received, Service } from "../language/service-type.ts";
import { hasDefaultInstance, serviceOf } from "../language/service-type.ts";

/** A service and where its contributions go. */
export interface ConnectedService {
  readonly service: Service;
  /** Nobody listed it: it was made up because another service extends its type. */
  readonly isDefault: boolean;
  readonly extensions: readonly { readonly extension: Extension<never>; readonly target: Service }[];
}

export interface ConnectedServices {
  /** Sorted by name. */
  readonly services: readonly ConnectedService[];
  readonly problems: readonly Problem[];
}

/**
 * The services with those that they extend and nobody listed, and each extension tied to the one service it goes to.
 * Duplicate names, missing and ambiguous targets become problems; the extensions concerned are left out.
 */
export function connectServices(listed: readonly Service[]): ConnectedServices {
  const problems = duplicateNames(listed);
  const made = missingServices(listed);
  // Of one name only the first goes on: that both write the same files needs no telling.
  const distinct = new Map([...listed].reverse().map((service) => [service.name, service]));
  const all = [...listed.filter((service) => distinct.get(service.name) === service), ...made];
  const byType = new Map<AnyServiceType, Service[]>();
  for (const service of all) byType.set(service.type, [...(byType.get(service.type) ?? []), service]);
  const services = sortedBy(all, (service) => service.name).map((service) => ({
    service,
    isDefault: made.includes(service),
    extensions: service.type.extensions.flatMap((extension) => {
      const candidates = byType.get(extension.target) ?? [];
      if (candidates.length === 0) problems.push(missingTarget(service, extension));
      if (new Set(candidates.map(({ name }) => name)).size > 1) {
        problems.push(ambiguousTarget(service, extension, candidates));
        return [];
      }
      return candidates.slice(0, 1).map((target) => ({ extension, target }));
    }),
  }));
  return { services, problems };
}

export interface FoldedServices {
  /** Options of the root after everything was contributed to it; undefined when it is not among the services. */
  readonly options: unknown;
  readonly problems: readonly Problem[];
}

/**
 * Lets every service contribute to those it extends, from the leaves to the service of type `root`. Each is folded
 * once. What a service receives is sorted by the senders' names: the listing order of services means nothing. A
 * `MesoError` in a service's functions becomes its problems, the rest goes on.
 */
export function foldServices(
  { services }: ConnectedServices,
  root: AnyServiceType,
  system: OperatingSystem,
): FoldedServices {
  const problems: Problem[] = [];
  const senders = new Map<Service, { connected: ConnectedService; extension: Extension<never> }[]>();
  for (const connected of services) {
    for (const { extension, target } of connected.extensions) {
      senders.set(target, [...(senders.get(target) ?? []), { connected, extension }]);
    }
  }
  const folded = new Map<Service, object>();
  const inProgress = new Set<Service>();
  const fold = (service: Service): object => {
    const known = folded.get(service);
    if (known) return known;
    assert(!inProgress.has(service), `service types extend each other in a circle at ${service.name}`);
    inProgress.add(service);
    const received = (senders.get(service) ?? []).flatMap(({ connected, extension }): Received<unknown>[] => {
      const options = fold(connected.service) as never;
      return guarded(connected.service, problems, () => [
        { value: extension.contribute(options, system), origin: originOf(connected.service) },
      ]);
    });
    const { type, options } = service;
    const [extended = options] =
      received.length > 0 && type.extend
        ? guarded(service, problems, () => [type.extend!(options, received)])
        : [options];
    inProgress.delete(service);
    folded.set(service, extended);
    return extended;
  };
  // All are folded, the root's senders or not, so that a mistake anywhere is told.
  for (const { service } of services) fold(service);
  const rootService = services.find(({ service }) => service.type === root);
  return { options: rootService && folded.get(rootService.service), problems };
}

/** Who a service's contributions come from. */
export function originOf(service: Service): Origin {
  const where = locationOf(service);
  return { by: service.name, ...(where && { where }) };
}

function guarded<T>(service: Service, problems: Problem[], step: () => T[]): T[] {
  try {
    return step();
  } catch (error) {
    if (error instanceof MesoError) problems.push(...error.problems.map((one) => ({ ...placeOf(service), ...one })));
    else if (error instanceof TypeError) problems.push(unfitOptions(service, error));
    else throw error;
    return [];
  }
}

/** Types are gone when a program runs: what an editor would have shown is met here. */
function unfitOptions(service: Service, error: TypeError): Problem {
  const where = /\n\s+at (.*)/.exec(error.stack ?? "")?.[1];
  return {
    code: "wrong-type",
    what: `${service.name} cannot work with its options: ${error.message}${where ? `, in ${where}` : ""}`,
    field: "services",
    ...placeOf(service),
    expected: Object.entries(service.type.options)
      .map(([option, meaning]) => `${option}: ${meaning}`)
      .join(" "),
    hint: "an editor, or tsc --noEmit, shows which one has the wrong type",
  };
}

/** Services to add, until every target that can be made up exists. */
function missingServices(listed: readonly Service[]): Service[] {
  const types = new Set(listed.map((service) => service.type));
  const made: Service[] = [];
  const pending = [...types];
  for (let type = pending.pop(); type; type = pending.pop()) {
    for (const { target } of type.extensions) {
      if (types.has(target) || !hasDefaultInstance(target)) continue;
      types.add(target);
      pending.push(target);
      made.push(serviceOf(target, {}, undefined));
    }
  }
  return made;
}

function duplicateNames(services: readonly Service[]): Problem[] {
  const first = new Map<string, Service>();
  const problems: Problem[] = [];
  for (const service of services) {
    const earlier = first.get(service.name);
    if (!earlier) first.set(service.name, service);
    else problems.push(duplicateName(service, earlier));
  }
  return problems;
}

function duplicateName(service: Service, earlier: Service): Problem {
  const also = locationOf(earlier);
  const isSameType = service.type === earlier.type;
  return {
    code: "duplicate-service",
    what: `two services are named ${service.name}`,
    field: "services",
    ...placeOf(service),
    ...(also && { also }),
    hint: isSameType
      ? "keep one of them; change one that a template brings with modifyServices()"
      : "give one of them another name",
  };
}

function missingTarget(service: Service, { target }: Extension<never>): Problem {
  const required = Object.keys(target.options).filter((option) => !Object.hasOwn(target.defaults, option));
  return {
    code: "missing-target",
    what: `${service.name} extends ${target.name}, and the system has no service of that type`,
    field: "services",
    ...placeOf(service),
    ...(target.where && { also: target.where }),
    hint: `add ${target.name}({ ${required.map((option) => `${option}: …`).join(", ")} }) to the services`,
  };
}

function ambiguousTarget(service: Service, { target }: Extension<never>, candidates: readonly Service[]): Problem {
  const also = locationOf(candidates[1]);
  const where = locationOf(candidates[0]) ?? locationOf(service);
  return {
    code: "ambiguous-target",
    what: `${service.name} extends ${target.name}, of which the system has ${candidates.map(({ name }) => name).join(" and ")}`,
    field: "services",
    ...(where && { where }),
    ...(also && { also }),
    hint: `keep one service of type ${target.name}`,
  };
}

function placeOf(service: Service): { where?: NonNullable<Problem["where"]> } {
  const where = locationOf(service);
  return where ? { where } : {};
}
