import { failure } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { callerLocation } from "../base/location.ts";
import { nearestHint } from "../base/nearest.ts";
import { locationOf } from "./record.ts";
import type { AnyServiceType, Complete, Service, ServiceType } from "./service-type.ts";
import { serviceOf } from "./service-type.ts";

/** One change to a list of services, made by `modify` or `remove`. */
export interface ServiceClause {
  readonly type: AnyServiceType;
  /** The changed options; absent when services of the type are removed. */
  readonly change?: (old: never) => object;
  readonly where?: SourceLocation;
}

/** Gives every service of a type new options: `modify(openssh, (old) => ({ port: old.port + 1 }))`. */
export function modify<Options extends object>(
  type: ServiceType<Options, unknown>,
  change: Partial<Complete<Options>> | ((old: Complete<Options>) => Partial<Complete<Options>>),
): ServiceClause {
  const where = callerLocation(modify);
  const changed = typeof change === "function" ? change : () => change;
  return { type, change: changed as (old: never) => object, ...(where && { where }) };
}

/** Takes every service of a type away. */
export function remove(type: AnyServiceType): ServiceClause {
  const where = callerLocation(remove);
  return { type, ...(where && { where }) };
}

/**
 * The services after the clauses, in turn; their order is kept.
 *
 * @throws MesoError `no-such-service` when a clause names a type that the list does not have, `service-removed` when
 * an earlier clause took it away.
 */
export function modifyServices(services: readonly Service[], ...clauses: readonly ServiceClause[]): readonly Service[] {
  let result = services;
  const removals: ServiceClause[] = [];
  for (const clause of clauses) {
    if (!result.some((service) => service.type === clause.type)) {
      throw nothingToModify(
        clause,
        services,
        removals.find((earlier) => earlier.type === clause.type),
      );
    }
    result = result.flatMap((service) => (service.type === clause.type ? applied(clause, service) : [service]));
    if (!clause.change) removals.push(clause);
  }
  return Object.freeze([...result]);
}

function applied(clause: ServiceClause, service: Service): Service[] {
  if (!clause.change) return [];
  const changes = clause.change(service.options as never);
  return [serviceOf(service.type, { ...service.options, ...changes }, clause.where, locationOf(service))];
}

function nothingToModify(clause: ServiceClause, services: readonly Service[], removal?: ServiceClause): Error {
  const { name } = clause.type;
  const where = clause.where && { where: clause.where };
  if (removal) {
    return failure("service-removed", `${name} was removed by an earlier clause`, {
      ...where,
      ...(removal.where && { also: removal.where }),
      hint: "drop one of the two clauses",
    });
  }
  const names = [...new Set(services.map((service) => service.type.name))];
  return failure("no-such-service", `no service of type ${name} is in the list`, {
    ...where,
    expected: names.length > 0 ? `one of ${names.join(", ")}` : "a list that is not empty",
    ...nearestHint(name, names),
  });
}
