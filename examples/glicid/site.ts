// Every machine of the site, where it is, and what it offers to others. Systems are functions of this: a machine that is
// not here, a network that it is not in, or a wrong kind of endpoint does not compile.

import { endpoint, inventory } from "mesoforge";
import { domain, networks, place } from "./networks.ts";

const { glicid, cluster, storage, dmz } = place;

export const site = inventory({
  domain,
  networks,
  machines: {
    // Addresses that move between machines.
    dns: { glicid: glicid("1.3") },
    "dns-b": { glicid: glicid("1.4") },
    directory: { glicid: glicid("1.5") },
    database: { glicid: glicid("1.6") },
    portal: { dmz: dmz(10) },
    access: { dmz: dmz(11) },

    "lb-intra-1": { glicid: glicid("2.1") },
    "lb-intra-2": { glicid: glicid("2.2") },
    "lb-intra-3": { glicid: glicid("2.3") },
    "lb-intra-4": { glicid: glicid("2.4") },
    "lb-pub-1": { dmz: dmz(21), glicid: glicid("2.11") },
    "lb-pub-2": { dmz: dmz(22), glicid: glicid("2.12") },
    "lb-pub-3": { dmz: dmz(23), glicid: glicid("2.13") },
    "lb-pub-4": { dmz: dmz(24), glicid: glicid("2.14") },

    "ns-1": { glicid: glicid("3.1") },
    "ns-2": { glicid: glicid("3.2") },
    "resolver-1": { glicid: glicid("3.11"), cluster: cluster("3.11") },
    "resolver-2": { glicid: glicid("3.12"), cluster: cluster("3.12") },
    "ntp-1": { glicid: glicid("3.21"), cluster: cluster("3.21") },
    "ntp-2": { glicid: glicid("3.22"), cluster: cluster("3.22") },

    "ldap-1": { glicid: glicid("4.1") },
    "ldap-2": { glicid: glicid("4.2") },
    "bastion-1": { dmz: dmz(31), glicid: glicid("4.11") },
    "bastion-2": { dmz: dmz(32), glicid: glicid("4.12") },

    "nfs-block": { glicid: glicid("5.1"), storage: storage("5.1") },
    "nfs-cluster-1": { cluster: cluster("5.11"), storage: storage("5.11") },
    "nfs-cluster-2": { cluster: cluster("5.12"), storage: storage("5.12") },

    mirror: { glicid: glicid("6.1"), cluster: cluster("6.1") },
    "proxy-1": { glicid: glicid("6.11"), cluster: cluster("6.11") },
    "proxy-2": { glicid: glicid("6.12"), cluster: cluster("6.12") },
    "reverse-1": { glicid: glicid("6.21") },
    "reverse-2": { glicid: glicid("6.22") },
    "www-1": { glicid: glicid("6.31") },
    "www-2": { glicid: glicid("6.32") },

    logs: { glicid: glicid("7.1") },
    zabbix: { glicid: glicid("7.2"), cluster: cluster("7.2") },
    mail: { glicid: glicid("7.3") },

    mysql: { glicid: glicid("8.1"), storage: storage("8.1") },
    "pgsql-1": { glicid: glicid("8.11"), storage: storage("8.11") },
    "pgsql-2": { glicid: glicid("8.12"), storage: storage("8.12") },

    slurmctld: { cluster: cluster("9.1") },
    slurmdbd: { cluster: cluster("9.2"), glicid: glicid("9.2") },
    "login-1": { cluster: cluster("9.11"), glicid: glicid("9.11") },
    "login-2": { cluster: cluster("9.12"), glicid: glicid("9.12") },
    devel: { cluster: cluster("9.21") },
    "slurmd-worker-001": { cluster: cluster("10.1") },
    "slurmd-worker-002": { cluster: cluster("10.2") },
    "slurmd-worker-003": { cluster: cluster("10.3") },
    "slurmd-worker-004": { cluster: cluster("10.4") },
  },
  aliases: {
    directory: ["ldap"],
    "reverse-1": ["www"],
    logs: ["syslog"],
    zabbix: ["monitoring"],
    mirror: ["debian"],
  },
});

export const { hosts } = site;
export type HostName = keyof typeof hosts;

/** What machines offer, each with its kind: where `dns` is wanted, `http` does not compile. */
export const offered = {
  authoritative: [endpoint("dns", hosts["ns-1"]), endpoint("dns", hosts["ns-2"])],
  resolvers: [endpoint("dns", hosts["resolver-1"]), endpoint("dns", hosts["resolver-2"])],
  clocks: [endpoint("ntp", hosts["ntp-1"]), endpoint("ntp", hosts["ntp-2"])],
  logs: endpoint("syslog", hosts.logs),
  web: [endpoint("http", hosts["www-1"]), endpoint("http", hosts["www-2"])],
  reverse: [endpoint("http", hosts["reverse-1"]), endpoint("http", hosts["reverse-2"])],
  bastions: [
    endpoint("ssh", hosts["bastion-1"], { network: "glicid" }),
    endpoint("ssh", hosts["bastion-2"], { network: "glicid" }),
  ],
  proxies: [endpoint("http-proxy", hosts["proxy-1"]), endpoint("http-proxy", hosts["proxy-2"])],
  directories: [endpoint("ldap", hosts["ldap-1"]), endpoint("ldap", hosts["ldap-2"])],
  logins: [
    endpoint("ssh", hosts["login-1"], { network: "glicid" }),
    endpoint("ssh", hosts["login-2"], { network: "glicid" }),
  ],
  mysql: endpoint("mysql", hosts.mysql),
  postgresql: endpoint("postgresql", hosts["pgsql-1"]),
  controller: endpoint("slurmctld", hosts.slurmctld),
  accounting: endpoint("slurmdbd", hosts.slurmdbd),
  projects: endpoint("nfs", hosts["nfs-cluster-2"]),
  watch: endpoint("zabbix-server", hosts.zabbix),
} as const;
