import type { NetworkRoute } from "../language/network.ts";
import { type Text, text } from "../language/text.ts";
import type { StaticInterface } from "./static-networking.ts";

export const bondModes = ["802.3ad", "active-backup", "balance-xor", "balance-rr"] as const;

export interface BondOptions {
  readonly members: readonly string[];
  /** Default: 802.3ad, which asks the switch (LACP); active-backup needs nothing of it. */
  readonly mode?: (typeof bondModes)[number];
}

/** A file of /etc/systemd/network, and the interface that it is for. */
export interface InterfaceFile {
  readonly name: string;
  readonly fileName: string;
  readonly content: Text;
}

/** The files of systemd.network(5) and systemd.netdev(5) for interfaces, VLANs on them, and bonds with their members. */
export function interfaceFiles(interfaces: Readonly<Record<string, StaticInterface>>): readonly InterfaceFile[] {
  const all = Object.entries(interfaces);
  const members = all.flatMap(([bondName, { bond }]) => (bond?.members ?? []).map((member) => ({ member, bondName })));
  const wires = new Set(all.flatMap(([, { parent }]) => (parent === undefined ? [] : [parent])));
  const bareWires = [...wires].filter((name) => !interfaces[name]).sort();
  return [
    ...all.flatMap(([name, given]) => deviceFile(name, given)),
    ...all.map(([name, given]) => networkFile(name, given, vlansOn(name, interfaces))),
    ...bareWires.map((name) => networkFile(name, bareWire(name, interfaces), vlansOn(name, interfaces))),
    ...members.map(({ member, bondName }) => memberFile(member, bondName)),
  ];
}

function vlansOn(wire: string, interfaces: Readonly<Record<string, StaticInterface>>): readonly string[] {
  return Object.keys(interfaces)
    .filter((name) => interfaces[name]!.parent === wire)
    .sort();
}

/** A wire that nobody described carries the largest packets of what is on it. */
function bareWire(wire: string, interfaces: Readonly<Record<string, StaticInterface>>): StaticInterface {
  const largest = Math.max(...vlansOn(wire, interfaces).map((name) => interfaces[name]!.mtu ?? 1500));
  return { addresses: [], ...(largest > 1500 && { mtu: largest }) };
}

function networkFile(name: string, given: StaticInterface, vlans: readonly string[]): InterfaceFile {
  const { addresses, gateway, gateway6, mtu, nameServers = [], searchDomains = [], routes = [] } = given;
  const isBare = addresses.length === 0;
  const content = text`
    [Match]
    Name=${name}

    [Network]
    ${addresses.map((address) => `Address=${address}`)}
    ${[gateway, gateway6].filter((one) => one !== undefined).map((one) => `Gateway=${one}`)}
    ${nameServers.map((server) => `DNS=${server}`)}
    ${searchDomains.length > 0 ? `Domains=${searchDomains.join(" ")}` : ""}
    DHCP=no
    IPv6AcceptRA=no
    ${isBare ? "LinkLocalAddressing=no" : ""}
    ${vlans.map((vlan) => `VLAN=${vlan}`)}
    ${isBare || mtu !== undefined ? "\n[Link]" : ""}
    ${mtu === undefined ? "" : `MTUBytes=${mtu}`}
    ${isBare ? "RequiredForOnline=no" : ""}
    ${routes.map(routeSection)}
  `;
  return { name, fileName: `10-${name}.network`, content };
}

function routeSection({ destination, gateway, metric }: NetworkRoute): string {
  return `\n[Route]\nDestination=${destination}\nGateway=${gateway}${metric === undefined ? "" : `\nMetric=${metric}`}`;
}

function deviceFile(name: string, { parent, vlan, bond, mtu }: StaticInterface): InterfaceFile[] {
  if (parent === undefined && bond === undefined) return [];
  const mode = bond?.mode ?? "802.3ad";
  const content = text`
    [NetDev]
    Name=${name}
    Kind=${bond ? "bond" : "vlan"}
    ${mtu === undefined ? "" : `MTUBytes=${mtu}`}

    ${bond ? `[Bond]\nMode=${mode}\nMIIMonitorSec=100ms` : `[VLAN]\nId=${vlan}`}
    ${bond && mode === "802.3ad" ? "LACPTransmitRate=fast" : ""}
    ${bond && (mode === "802.3ad" || mode === "balance-xor") ? "TransmitHashPolicy=layer3+4" : ""}
  `;
  return [{ name, fileName: `10-${name}.netdev`, content }];
}

function memberFile(member: string, bondName: string): InterfaceFile {
  const content = text`
    [Match]
    Name=${member}

    [Network]
    Bond=${bondName}

    [Link]
    RequiredForOnline=no
  `;
  return { name: member, fileName: `10-${member}.network`, content };
}
