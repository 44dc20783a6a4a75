import { isIP } from "node:net";
import { isInside, parseNetwork } from "./address.ts";
import { aList, aNumber, aString, orUndefined } from "./check.ts";
import type { Complaint } from "./complaint.ts";
import { isHostName } from "./name-resolution.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface NetworkFields {
  /** As hypervisors and people call it: `cluster`. */
  name: string;
  /** `10.141.0.0/16`. */
  range: string;
  /** `2001:db8:1::/64`, where it has both. */
  range6: string | undefined;
  gateway: string | undefined;
  gateway6: string | undefined;
  nameServers: readonly string[];
  /** The domain of names in it: `cluster.example.org`. */
  domain: string | undefined;
  searchDomains: readonly string[];
  routes: readonly NetworkRoute[];
  /** Number of the VLAN, 1 to 4094, on the wires that carry several. */
  vlan: number | undefined;
  /** Largest packet in bytes. */
  mtu: number | undefined;
}

export interface NetworkRoute {
  /** `10.142.0.0/16`. */
  readonly destination: string;
  readonly gateway: string;
  readonly metric?: number;
}

/** A network of the site: what every machine in it must know. */
export type Network = RecordOf<NetworkFields, "name" | "range">;

const anAddress = aString("an IPv4 or IPv6 address", (value) => isIP(value) !== 0, "wrong-address");
const aRange = aString(
  "a network whose host part is zero: 10.141.0.0/16",
  (value) => parseNetwork(value) !== undefined,
  "wrong-address",
);
const aDomain = aString("a domain: cluster.example.org", isHostName, "wrong-name");

/** A network: `network({ name: "cluster", range: "10.141.0.0/16", gateway: "10.141.255.252" })`. */
export const network = recordType<NetworkFields, "name" | "range">({
  kind: "network",
  defaults: ({ domain }) => ({
    range6: undefined,
    gateway: undefined,
    gateway6: undefined,
    nameServers: [],
    domain: undefined,
    searchDomains: domain === undefined ? [] : [domain],
    routes: [],
    vlan: undefined,
    mtu: undefined,
  }),
  fields: {
    name: aString("letters, digits, hyphens", (name) => /^[A-Za-z0-9_.-]{1,60}$/.test(name)),
    range: aRange,
    range6: orUndefined(aRange),
    gateway: orUndefined(anAddress),
    gateway6: orUndefined(anAddress),
    nameServers: aList(anAddress),
    domain: orUndefined(aDomain),
    searchDomains: aList(aDomain),
    routes: aList((value) => {
      const route = value as Partial<NetworkRoute> | null;
      return [...aRange(route?.destination), ...anAddress(route?.gateway)];
    }),
    vlan: orUndefined(aNumber(1, 4094)),
    // RFC 791: every host takes 576 bytes.
    mtu: orUndefined(aNumber(576, 65535)),
  },
  validate: ({ range, range6, gateway, gateway6 }) => [
    ...outside("gateway", gateway, range),
    ...(range6 === undefined ? [] : outside("gateway6", gateway6, range6)),
  ],
});

function outside(field: string, gateway: string | undefined, range: string): Complaint[] {
  const parsed = parseNetwork(range);
  if (gateway === undefined || parsed === undefined || isInside(gateway, parsed)) return [];
  return [{ code: "wrong-address", field, what: `found ${gateway}`, expected: `an address in ${range}` }];
}
