// The batch system: its controller and accounting, login nodes, and the virtual workers that short jobs run on.

import { type Machine, pipe, secret, slurmDrain } from "mesoforge";
import {
  autofs,
  munge,
  nfsClient,
  slurmCluster,
  slurmctld,
  slurmd,
  slurmdbd,
  slurmLogin,
  slurmNodes,
  slurmrestd,
  withServices,
} from "mesoforge/services";
import { cciplClusterNet, glicidNet } from "../networks.ts";
import { type HostName, hosts, offered } from "../site.ts";
import { knowsPeople, oneDisk, oneDiskDebug, twoDisks } from "../template/v3.ts";
import { stateDisk, virtualMachine } from "./machine.ts";

const workers = ["slurmd-worker-001", "slurmd-worker-002", "slurmd-worker-003", "slurmd-worker-004"] as const;

/** Written once: every machine of the cluster has the same slurm.conf by it. */
const waves = slurmCluster({
  name: "waves",
  controllers: [offered.controller],
  accounting: offered.accounting,
  nodes: slurmNodes(
    workers.map((name) => hosts[name]),
    { cpus: 4, memory: "7GiB" },
  ),
  partitions: [
    { name: "short", nodes: "all", isDefault: true, maxTime: "1:00:00" },
    { name: "staff", nodes: ["slurmd-worker-001"], allowGroups: ["staff"], priorityTier: 2 },
  ],
  enforce: ["associations", "limits"],
  tokens: true,
});

const allow = [cciplClusterNet.range, glicidNet.range];
const tokenKey = secret("slurm-tokens");
const trusted = withServices(munge({ key: secret("munge-key") }));
const homes = withServices(
  autofs({
    maps: [
      { mountPoint: "/home", entries: [{ key: "*", location: `${hosts["nfs-cluster-1"].fullName}:/srv/homes/&` }] },
    ],
  }),
  nfsClient({ mounts: [{ server: offered.projects, path: "/srv/projects", at: "/projects", onDemand: true }] }),
);
const forPeople = pipe(oneDisk, knowsPeople("staff", "researchers"), trusted, homes);

const controller = pipe(
  twoDisks,
  knowsPeople("staff"),
  trusted,
  withServices(slurmctld({ cluster: waves, tokenKey, allow }), slurmrestd({ cluster: waves })),
);

const accounting = pipe(
  oneDisk,
  trusted,
  withServices(
    slurmdbd({
      database: { server: offered.mysql, password: secret("slurmdbd-database") },
      purge: { jobs: "24month", steps: "6month" },
      tokenKey,
      allow,
    }),
  ),
);

const login = pipe(forPeople, withServices(slurmLogin({ cluster: waves, allow })));
const worker = pipe(forPeople, withServices(slurmd({ cluster: waves, allow })));
const devel = pipe(
  oneDiskDebug,
  knowsPeople("staff", "researchers"),
  trusted,
  homes,
  withServices(slurmLogin({ cluster: waves, allow })),
);

/** Jobs end first; a worker takes none meanwhile. */
const drained = (node: HostName) => ({ drain: [slurmDrain({ controller: "cluster/slurmctld", node })] });

export const cluster: Readonly<Record<string, Machine>> = {
  "cluster/slurmctld": virtualMachine("slurmctld", 280, controller, { memory: "4GiB", ...stateDisk("8GiB") }),
  "cluster/slurmdbd": virtualMachine("slurmdbd", 281, accounting),
  "cluster/login-1": virtualMachine("login-1", 282, login, { memory: "4GiB", cores: 4, group: "logins" }),
  "cluster/login-2": virtualMachine("login-2", 283, login, { memory: "4GiB", cores: 4, group: "logins" }),
  "cluster/devel": virtualMachine("devel", 284, devel, { memory: "8GiB", cores: 4 }),
  ...Object.fromEntries(
    workers.map((name, i) => [
      `cluster/${name}`,
      virtualMachine(name, 290 + i, worker, { memory: "8GiB", cores: 4, group: "workers", ...drained(name) }),
    ]),
  ),
};
