// The networks of the site, its gateways and name servers. All that differs between stages stands here and in
// centre.ts; machines have their place in a network, not an address.

import { addressIn, network, nic } from "mesoforge";
import { type Stage, stage } from "./stage.ts";

/** The second byte of each network, by stage; the stages can live side by side. */
const bytes: Readonly<Record<Stage, { readonly glicid: number; readonly cluster: number; readonly storage: number }>> =
  {
    test: { glicid: 50, cluster: 141, storage: 60 },
    alpha: { glicid: 51, cluster: 142, storage: 61 },
    beta: { glicid: 52, cluster: 143, storage: 62 },
    production: { glicid: 53, cluster: 144, storage: 63 },
  };
const { glicid, cluster, storage } = bytes[stage];

export const domain = stage === "production" ? "intra.glicid.example" : `${stage}.glicid.example`;

/** Services and virtual machines. */
export const glicidNet = network({
  name: "glicid",
  range: `10.${glicid}.0.0/16`,
  range6: `2001:db8:${glicid}::/64`,
  gateway: `10.${glicid}.255.254`,
  nameServers: [`10.${glicid}.1.3`, `10.${glicid}.1.4`],
  domain,
  vlan: 1515,
});

/** The compute nodes, and what they talk to. */
export const cciplClusterNet = network({
  name: "cluster",
  range: `10.${cluster}.0.0/16`,
  gateway: `10.${cluster}.255.252`,
  nameServers: glicidNet.nameServers,
  domain,
  vlan: 1504,
});

/** File servers and databases, in large packets. */
export const storageNet = network({ name: "storage", range: `10.${storage}.0.0/16`, vlan: 1520, mtu: 9000 });

/** What the world sees. */
export const dmzNet = network({
  name: "dmz",
  range: "203.0.113.0/24",
  gateway: "203.0.113.1",
  nameServers: glicidNet.nameServers,
  domain,
  vlan: 1530,
});

export const networks = { glicid: glicidNet, cluster: cciplClusterNet, storage: storageNet, dmz: dmzNet } as const;

/** Machines to try things on are in a network of their own name, whatever the stage. */
export const testNet = {
  gateway: "10.50.255.254",
  nameServers: ["10.50.1.3", "10.50.1.4"],
  searchDomains: ["test.glicid.example"],
} as const;

/** Places in the networks: `place.glicid("1.3")`. */
export const place = {
  glicid: (last: string) => addressIn(glicidNet, last),
  cluster: (last: string) => addressIn(cciplClusterNet, last),
  storage: (last: string) => addressIn(storageNet, last),
  /** Each stage has a quarter of what the world sees. */
  dmz: (last: number) => addressIn(dmzNet, ["production", "beta", "alpha", "test"].indexOf(stage) * 64 + last),
} as const;

/** Bridges of the hypervisors; the VLAN is the network's. */
const bridges = { glicid: "vmbr1", cluster: "vmbr2", storage: "vmbr2", dmz: "vmbr1" } as const;

/** A network card on a network. */
export function cardOn(name: keyof typeof networks) {
  return nic({ network: bridges[name], tag: networks[name].vlan! });
}
