// Names and time: two servers that answer for the site's zones, two that ask for others, two clocks.

import { type Machine, pipe } from "mesoforge";
import { bind9, chrony, hostZone, reverseZones, unbound, withHardening, withServices } from "mesoforge/services";
import { cciplClusterNet, glicidNet } from "../networks.ts";
import { hosts, offered, site } from "../site.ts";
import { oneDisk } from "../template/v3.ts";
import { virtualMachine } from "./machine.ts";

const inside = [glicidNet.range, cciplClusterNet.range];
const authority = { nameServers: [hosts["ns-1"], hosts["ns-2"]] };
const zones = [hostZone(site, authority, ["@ MX 10 mail"]), ...reverseZones(site, authority)];

const primary = pipe(
  oneDisk,
  withServices(bind9({ zones, allowQuery: inside, transferTo: [hosts["ns-2"].address] })),
  withHardening(),
);

const secondary = pipe(
  oneDisk,
  withServices(
    bind9({
      allowQuery: inside,
      secondaryZones: zones.map(({ name }) => ({ name, primaries: [offered.authoritative[0]] })),
    }),
  ),
  withHardening(),
);

const resolver = pipe(
  oneDisk,
  withServices(
    unbound({
      allow: inside,
      forwardZones: zones.map(({ name }) => ({ name, servers: offered.authoritative, unsigned: true })),
    }),
  ),
  withHardening(),
);

const clock = pipe(oneDisk, withServices(chrony({ pools: ["2.debian.pool.ntp.org"], allow: inside })));

export const names: Readonly<Record<string, Machine>> = {
  "dns/ns-1": virtualMachine("ns-1", 220, primary, { group: "dns" }),
  "dns/ns-2": virtualMachine("ns-2", 221, secondary, { group: "dns" }),
  "dns/resolver-1": virtualMachine("resolver-1", 222, resolver, { group: "resolvers" }),
  "dns/resolver-2": virtualMachine("resolver-2", 223, resolver, { group: "resolvers" }),
  "time/ntp-1": virtualMachine("ntp-1", 224, clock, { group: "time" }),
  "time/ntp-2": virtualMachine("ntp-2", 225, clock, { group: "time" }),
};
