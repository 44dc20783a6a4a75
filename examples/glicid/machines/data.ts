// What must last: file servers and databases, each with a state disk that every new root finds again.

import { type Machine, type OperatingSystem, pipe, secret } from "mesoforge";
import { mariadb, nfsServer, postgresql, withServices, withStateVolume } from "mesoforge/services";
import { cciplClusterNet, glicidNet, storageNet } from "../networks.ts";
import { hosts, offered } from "../site.ts";
import { twoDisks } from "../template/v3.ts";
import { stateDisk, virtualMachine } from "./machine.ts";

const fileServer = (path: string, clients: readonly string[], size: string): OperatingSystem =>
  pipe(
    twoDisks,
    withStateVolume({ volumes: { data: { size, fileSystem: "xfs", mountPoint: path } } }),
    withServices(
      nfsServer({
        exports: [{ path, folder: { mode: 0o755 }, clients: clients.map((from) => ({ from })) }],
        allow: clients,
      }),
    ),
  );

const mysql = pipe(
  twoDisks,
  withStateVolume({ size: "20GiB" }),
  withServices(
    mariadb({
      databases: [{ name: "slurm_acct_db" }, { name: "zabbix" }],
      users: [
        {
          ...{ name: "slurm", host: hosts.slurmdbd.address, password: secret("slurmdbd-database") },
          grants: [{ database: "slurm_acct_db" }],
        },
        {
          ...{ name: "zabbix", host: hosts.zabbix.address, password: secret("zabbix-database") },
          grants: [{ database: "zabbix" }],
        },
      ],
      listenAddresses: ["0.0.0.0"],
      allow: [glicidNet.range, cciplClusterNet.range],
      bufferPool: "2G",
    }),
  ),
);

const standbyPassword = secret("postgresql-standby");

const pgsqlPrimary = pipe(
  twoDisks,
  withStateVolume({ size: "20GiB" }),
  withServices(
    postgresql({
      databases: [{ name: "portal", owner: "portal", extensions: ["pg_trgm"] }],
      roles: [{ name: "portal", password: secret("portal-database"), from: [glicidNet.range] }],
      standbys: [{ name: "pgsql_2", address: hosts["pgsql-2"].address, password: standbyPassword }],
      backups: { at: "02:30", kind: "dump", keep: 7 },
      listenAddresses: ["*"],
      allow: [glicidNet.range],
      sharedBuffers: "1GB",
    }),
  ),
);

const pgsqlStandby = pipe(
  twoDisks,
  withStateVolume({ size: "20GiB" }),
  withServices(
    postgresql({
      follows: { server: offered.postgresql, name: "pgsql_2", password: standbyPassword },
      listenAddresses: ["*"],
      allow: [glicidNet.range],
      sharedBuffers: "1GB",
    }),
  ),
);

export const data: Readonly<Record<string, Machine>> = {
  "data/nfs-block": virtualMachine(
    "nfs-block",
    270,
    fileServer("/srv/block", [storageNet.range], "100GiB"),
    stateDisk("120GiB"),
  ),
  "data/nfs-cluster-1": virtualMachine(
    "nfs-cluster-1",
    271,
    fileServer("/srv/homes", [cciplClusterNet.range], "500GiB"),
    stateDisk("520GiB"),
  ),
  "data/nfs-cluster-2": virtualMachine(
    "nfs-cluster-2",
    272,
    fileServer("/srv/projects", [cciplClusterNet.range], "500GiB"),
    stateDisk("520GiB"),
  ),
  "data/mysql": virtualMachine("mysql", 273, mysql, { memory: "4GiB", ...stateDisk("30GiB") }),
  "data/pgsql-1": virtualMachine("pgsql-1", 274, pgsqlPrimary, {
    memory: "4GiB",
    group: "pgsql",
    ...stateDisk("30GiB"),
  }),
  "data/pgsql-2": virtualMachine("pgsql-2", 275, pgsqlStandby, {
    memory: "4GiB",
    group: "pgsql",
    ...stateDisk("30GiB"),
  }),
};
