import { createHash } from "node:crypto";
import type { HostEntry, Inventory } from "../language/inventory.ts";
import type { LdapEntry } from "./ldap-entries.ts";

type Hosts = Pick<Inventory<string, string>, "hosts">;

/** The machines of a site as entries of a directory (RFC 2307, ipHost), by name: `tree: [...ldapHosts(site, "ou=hosts,…")]`. */
export function ldapHosts({ hosts }: Hosts, under: string): readonly LdapEntry[] {
  return byName(hosts).map((host) => ({
    dn: `cn=${host.name},${under}`,
    attributes: {
      objectClass: ["device", "ipHost"],
      cn: [...new Set([host.name, host.fullName, ...host.aliases])],
      ipHostNumber: [...host.addressesIn()],
    },
  }));
}

export interface ZabbixHostOptions {
  /** Groups of all of them. Default: "Site". */
  readonly groups?: readonly string[];
  /** Further groups of one: `(host) => (host.name.startsWith("ns-") ? ["Name servers"] : [])`. */
  readonly groupsOf?: (host: HostEntry) => readonly string[];
  /** Templates that the front end has: `["Linux by Zabbix agent"]`. */
  readonly templates?: readonly string[];
  /** Which machines; all of them unless said. */
  readonly only?: (host: HostEntry) => boolean;
  /** Of Zabbix, whose import it is for: trixie has 7.0. */
  readonly version?: string;
}

/**
 * The machines of a site, each with its agent, in JSON as Zabbix imports it (Data collection → Hosts → Import, or the
 * method configuration.import). Groups have the same identifiers each time, so that a second import changes what differs.
 */
export function zabbixHosts({ hosts }: Hosts, options: ZabbixHostOptions = {}): string {
  const { groups = ["Site"], groupsOf = () => [], templates = [], only = () => true, version = "7.0" } = options;
  const wanted = byName(hosts).filter(only);
  const groupsIn = (host: HostEntry) => [...new Set([...groups, ...groupsOf(host)])].sort();
  const named = (name: string) => ({ name });
  const all = [...new Set(wanted.flatMap(groupsIn))].sort();
  const listed = wanted.map((host) => ({
    ...{ host: host.name, name: host.name, groups: groupsIn(host).map(named) },
    ...(templates.length > 0 && { templates: [...templates].sort().map(named) }),
    interfaces: [{ ip: host.address, dns: host.fullName, interface_ref: "if1" }],
  }));
  const content = { version, host_groups: all.map((name) => ({ uuid: uuidOf(name), name })), hosts: listed };
  return `${JSON.stringify({ zabbix_export: content }, undefined, 2)}\n`;
}

/** Zabbix takes identifiers of version 4 (RFC 9562, 5.4) without hyphens; this one is the same for the same name. */
function uuidOf(name: string): string {
  const digits = createHash("sha256").update(`zabbix group ${name}`).digest("hex").slice(0, 32);
  return `${digits.slice(0, 12)}4${digits.slice(13, 16)}8${digits.slice(17)}`;
}

function byName(hosts: Hosts["hosts"]): readonly HostEntry[] {
  return Object.values(hosts).sort((a, b) => (a.name < b.name ? -1 : 1));
}
