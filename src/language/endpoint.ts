import type { HostEntry } from "./inventory.ts";

/** Kinds of endpoints, and the ports they have unless said otherwise (IANA's, and Slurm's, MariaDB's … own). */
export const endpointPorts = {
  dns: 53,
  ntp: 123,
  http: 80,
  https: 443,
  ldap: 389,
  ldaps: 636,
  ssh: 22,
  nfs: 2049,
  smtp: 25,
  syslog: 514,
  "journal-remote": 19532,
  mysql: 3306,
  postgresql: 5432,
  "http-proxy": 3128,
  "apt-cache": 3142,
  "zabbix-server": 10051,
  "zabbix-agent": 10050,
  slurmctld: 6817,
  slurmd: 6818,
  slurmdbd: 6819,
  slurmrestd: 6820,
  "node-exporter": 9100,
  prometheus: 9090,
} as const;

export type EndpointKind = keyof typeof endpointPorts;

declare const portOf: unique symbol;

/** A port for one kind of endpoint: one for another kind does not compile. */
export type Port<Kind extends EndpointKind> = number & { readonly [portOf]: Kind };

/** A port other than the usual: `port("ldap", 1389)`. */
export function port<Kind extends EndpointKind>(_kind: Kind, number: number): Port<Kind> {
  return number as Port<Kind>;
}

declare const kindOf: unique symbol;

/** Where something of one kind is reached, on a machine of the inventory. Where `ldap` is wanted, `http` does not compile. */
export interface Endpoint<Kind extends EndpointKind = EndpointKind> {
  readonly kind: Kind;
  /** The machine's full name. */
  readonly host: string;
  readonly hostName: string;
  readonly address: string;
  readonly port: number;
  readonly [kindOf]?: Kind;
}

/**
 * What a machine offers: `endpoint("ldap", hosts["ldap-1"])`, in its first network unless another is named.
 * A name that the inventory does not know, a port of another kind, a network that it does not know: none compiles.
 */
export function endpoint<Kind extends EndpointKind, Networks extends string>(
  kind: Kind,
  on: HostEntry<string, Networks>,
  {
    port = endpointPorts[kind] as unknown as Port<Kind>,
    network,
  }: { readonly port?: Port<NoInfer<Kind>>; readonly network?: NoInfer<Networks> } = {},
): Endpoint<Kind> {
  const address = network === undefined ? on.address : (on.addressesIn(network)[0] ?? on.address);
  return Object.freeze({ kind, host: on.fullName, hostName: on.name, address, port });
}
