// What looks at the others: their logs, and how they are.

import { type Machine, pipe, secret } from "mesoforge";
import { firewall, rsyslog, withServices, zabbixFrontend, zabbixServer } from "mesoforge/services";
import { cciplClusterNet, glicidNet } from "../networks.ts";
import { offered } from "../site.ts";
import { oneDisk } from "../template/v3.ts";
import { virtualMachine } from "./machine.ts";

const logServer = pipe(
  oneDisk,
  withServices(rsyslog({ listen: { tcp: offered.logs.port } })),
  withServices(firewall({ policy: "closed", trusted: [glicidNet.range] })),
);

const database = { kind: "mariadb", server: offered.mysql, password: secret("zabbix-database") } as const;

const zabbix = pipe(
  oneDisk,
  withServices(
    zabbixServer({
      database,
      administratorPassword: secret("zabbix-administrator"),
      clients: [glicidNet.range, cciplClusterNet.range],
    }),
    zabbixFrontend({ database, title: "GLiCID" }),
  ),
);

export const watch: Readonly<Record<string, Machine>> = {
  "watch/logs": virtualMachine("logs", 250, logServer, { memory: "2GiB" }),
  "watch/zabbix": virtualMachine("zabbix", 251, zabbix, { memory: "4GiB" }),
};
