// What looks at the others: their logs, and how they are.

import { etcFile, etcFiles, type Machine, pipe, secret, simpleService } from "mesoforge";
import { firewall, rsyslog, withServices, zabbixFrontend, zabbixHosts, zabbixServer } from "mesoforge/services";
import { cciplClusterNet, glicidNet } from "../networks.ts";
import { offered, site } from "../site.ts";
import { oneDisk } from "../template/v3.ts";
import { virtualMachine } from "./machine.ts";

const logServer = pipe(
  oneDisk,
  withServices(rsyslog({ listen: { tcp: offered.logs.port } })),
  withServices(firewall({ policy: "closed", trusted: [glicidNet.range] })),
);

const database = { kind: "mariadb", server: offered.mysql, password: secret("zabbix-database") } as const;

/** Every machine of the site, to be imported: Data collection → Hosts → Import. */
const watched = zabbixHosts(site, {
  groupsOf: ({ networks }) => networks.map((network) => `Network ${network}`),
  templates: ["Linux by Zabbix agent active"],
});

const zabbix = pipe(
  oneDisk,
  withServices(
    zabbixServer({
      database,
      administratorPassword: secret("zabbix-administrator"),
      clients: [glicidNet.range, cciplClusterNet.range],
    }),
    zabbixFrontend({ database, title: "GLiCID" }),
    simpleService("watched", etcFiles, [etcFile("/etc/zabbix/hosts.json", watched)]),
  ),
);

export const watch: Readonly<Record<string, Machine>> = {
  "watch/logs": virtualMachine("logs", 250, logServer, { memory: "2GiB" }),
  "watch/zabbix": virtualMachine("zabbix", 251, zabbix, { memory: "4GiB" }),
};
