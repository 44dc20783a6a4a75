// How a machine of the site is made of a template: its name, its networks, its number.

import { type Machine, machine, type OperatingSystem, pipe, volume } from "mesoforge";
import {
  type StaticInterface,
  staticNetworking,
  type Transformer,
  withHostName,
  withServices,
} from "mesoforge/services";
import { cardOn, type networks } from "../networks.ts";
import { type HostName, hosts } from "../site.ts";

type NetworkName = keyof typeof networks;

/** The template as the machine of that name: what makes it that machine is in the inventory. */
export function as(name: HostName): Transformer {
  return (os) => pipe(os, withHostName(name), withServices(staticNetworking(interfacesOf(name))));
}

/** eth0 is in the first network of the machine, which has its way to the world; eth1 in the second. */
function interfacesOf(name: HostName): Readonly<Record<string, StaticInterface>> {
  const entry = hosts[name];
  return Object.fromEntries(
    entry.networks.map((networkName, index) => {
      const { addresses, routes, mtu, ...wayOut } = entry.on(networkName);
      return [`eth${index}`, { addresses, routes, ...(mtu !== undefined && { mtu }), ...(index === 0 && wayOut) }];
    }),
  );
}

/** How large a machine is, and what it stands in for. */
export type Size = Partial<Pick<Machine, "cores" | "memory" | "group" | "wave" | "volumes" | "drain" | "node">>;

/** The virtual machine of that name, with its number on Proxmox VE. */
export function virtualMachine(name: HostName, vmid: number, os: OperatingSystem, size: Size = {}): Machine {
  const nics = hosts[name].networks.map((one: NetworkName) => cardOn(one));
  return machine({ vmid, nics, os: pipe(os, as(name)), ...size });
}

/** The second disk of a machine with the two-disk template. */
export const stateDisk = (size: string) => ({ volumes: { state: volume({ size }) } });
