import { isIP } from "node:net";
import { callerLocation } from "../base/location.ts";
import { aList, aRecord, aString, aWord, either } from "./check.ts";
import type { RecordOf } from "./record.ts";
import { recordType, relocated } from "./record.ts";

interface HostFields {
  address: string;
  /** The canonical name first. */
  names: readonly string[];
}

export type Host = RecordOf<HostFields, "address" | "names">;

const aHostName = aString("a host name: letters, digits, - and dots", isHostName, "wrong-name");

const hostRecord = recordType<HostFields, "address" | "names">({
  kind: "host",
  defaults: () => ({}),
  fields: { address: aString("an IPv4 or IPv6 address", (value) => isIP(value) !== 0), names: aList(aHostName) },
  validate: ({ names }) =>
    names.length > 0
      ? []
      : [{ code: "missing-field", field: "names", what: "no name is given", expected: "at least one name" }],
});

/** A line of /etc/hosts: `host("10.0.0.1", "ctld.example.org", "ctld")`. */
export function host(address: string, ...names: readonly string[]): Host {
  return relocated(hostRecord({ address, names }), callerLocation(host));
}

interface NameResolutionFields {
  /** Lines of /etc/hosts beside those for the machine itself. */
  hosts: readonly Host[];
  /**
   * Addresses for a fixed /etc/resolv.conf, or `"resolved"` for systemd-resolved. Empty: whatever service of the
   * system writes /etc/resolv.conf, if any does.
   */
  nameServers: readonly string[] | "resolved";
  /** Domains that short names are tried in. */
  searchDomains: readonly string[];
}

export type NameResolution = RecordOf<NameResolutionFields, never>;

export const nameResolution = recordType<NameResolutionFields, never>({
  kind: "nameResolution",
  defaults: () => ({ hosts: [], nameServers: [], searchDomains: [] }),
  fields: {
    hosts: aList(aRecord("host")),
    nameServers: either(aWord(["resolved"]), aList(aString("an IPv4 or IPv6 address", (value) => isIP(value) !== 0))),
    searchDomains: aList(aHostName),
  },
});

/** RFC 1123 section 2.1: labels of at most 63 letters, digits and inner hyphens, 253 in all. */
export function isHostName(name: string): boolean {
  return (
    name.length <= 253 && name.split(".").every((part) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(part))
  );
}
