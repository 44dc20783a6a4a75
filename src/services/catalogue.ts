import type { AnyServiceType } from "../language/service-type.ts";
import * as services from "./index.ts";
import { staticNetworkingType } from "./static-networking.ts";

/** Every service type of the catalogue, by name. */
export function serviceCatalogue(): readonly AnyServiceType[] {
  const types = Object.values(services).filter((value): value is never => isServiceType(value));
  return [...types, staticNetworkingType].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function isServiceType(value: unknown): value is AnyServiceType {
  return typeof value === "function" && Array.isArray((value as Partial<AnyServiceType>).extensions);
}
