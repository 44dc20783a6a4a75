import { failure } from "../base/error.ts";
import type { Complaint } from "../language/complaint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { type SecretFile, secretFile } from "../system/essential-credentials.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { profile } from "../system/essential-profile.ts";
import { mebibytes, type SlurmCluster, type SlurmNode, type SlurmPartition } from "./slurm-cluster.ts";

export interface SlurmOptions {
  readonly clusters?: readonly SlurmCluster[];
}

/** The configuration that all of Slurm's programs on a machine read, and its commands. */
export const slurm = serviceType<SlurmOptions, SlurmCluster>({
  name: "slurm",
  description: "slurm.conf and cgroup.conf, the same on all machines of a cluster, and Slurm's commands.",
  options: { clusters: "The cluster that the machine belongs to, as its other services say." },
  defaults: { clusters: [] },
  extend: (options, received) => ({ ...options, clusters: distinct(options.clusters, received) }),
  extensions: [
    extend(profile, ({ clusters }) =>
      clusters.flatMap(({ tokens }) => [
        ...["slurm-client", "slurm-wlm-basic-plugins"],
        ...(tokens ? ["slurm-wlm-jwt-plugin"] : []),
      ]),
    ),
    extend(etcFiles, ({ clusters }) =>
      clusters.flatMap((cluster) => [
        etcFile("/etc/slurm/slurm.conf", slurmConf(cluster)),
        etcFile("/etc/slurm/cgroup.conf", cgroupConf(cluster)),
      ]),
    ),
    extend(configurationChecks, ({ clusters }) =>
      clusters.map(() => ({
        name: "scontrol",
        // Reads and understands all of it before it does anything; a list of names asks nobody.
        program: bin("slurm-client", "scontrol"),
        arguments: ["show", "hostnames", "node-1"],
        reads: ["/etc/slurm"],
        loads: ["/usr/lib/{multiarch}/slurm-wlm"],
      })),
    ),
  ],
});

/** What tokens are signed with, where controllers and slurmdbd look for it. */
export const tokenKeyPath = "/run/slurm-token-key/jwt_hs256.key";

/** The key of tokens for a unit that checks them. */
export function tokenKeyFiles(key: Secret | undefined, unit: string): SecretFile[] {
  if (!key) return [];
  const owner = { mode: 0o400, user: "slurm" };
  return [secretFile({ path: tokenKeyPath, content: "@KEY@", secrets: { KEY: key }, ...owner, units: [unit] })];
}

/** A controller of a cluster with tokens must be able to check them. */
export function tokenMistakes({ name, tokens }: SlurmCluster, key: Secret | undefined): Complaint[] {
  if (tokens === (key !== undefined)) return [];
  const what = tokens ? `the cluster ${name} has tokens` : `the cluster ${name} has no tokens`;
  return [{ code: "missing-field", field: "tokenKey", what, expected: "tokens and a tokenKey, or neither" }];
}

function distinct(listed: readonly SlurmCluster[], received: readonly Received<SlurmCluster>[]): SlurmCluster[] {
  const all = [
    ...listed.map((value) => ({ value, by: "slurm" })),
    ...received.map(({ value, origin }) => ({ value, by: origin.by })),
  ];
  const [first] = all;
  if (!first) return [];
  const other = all.find(({ value }) => JSON.stringify(value) !== JSON.stringify(first.value));
  if (other) {
    const [one, two] = [first, other].map(({ value, by }) => `${value.name} for ${by}`);
    throw failure("two-clusters", `the machine is in two clusters, ${one} and ${two}`, {
      expected: "one value of slurmCluster() for all of its services",
    });
  }
  return [first.value];
}

function slurmConf(cluster: SlurmCluster): GeneratedFile {
  const { controllers, accounting, enforce } = cluster;
  return textFile(
    "slurm.conf",
    text`
      ClusterName=${cluster.name}
      ${controllers.map(({ hostName, address }) => `SlurmctldHost=${hostName}(${address})`)}
      SlurmctldPort=${controllers[0]!.port}
      SlurmdPort=${cluster.slurmdPort}
      SrunPortRange=${cluster.srunPorts}
      SlurmUser=slurm
      AuthType=auth/munge
      CredType=cred/munge
      ${cluster.tokens ? `AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key=${tokenKeyPath}` : ""}
      StateSaveLocation=/var/lib/slurm/slurmctld
      SlurmdSpoolDir=/var/lib/slurm/slurmd
      SlurmctldPidFile=/run/slurmctld/slurmctld.pid
      SlurmdPidFile=/run/slurm/slurmd.pid
      MailProg=${cluster.mailProgram}
      ProctrackType=proctrack/cgroup
      TaskPlugin=task/cgroup,task/affinity
      JobAcctGatherType=jobacct_gather/cgroup
      SchedulerType=sched/backfill
      SelectType=select/cons_tres
      SelectTypeParameters=CR_Core_Memory
      # A node that comes back with what is told of it here takes part again.
      ReturnToService=2
      ${
        accounting
          ? [
              "AccountingStorageType=accounting_storage/slurmdbd",
              `AccountingStorageHost=${accounting.address}`,
              `AccountingStoragePort=${accounting.port}`,
              ...(enforce.length > 0 ? [`AccountingStorageEnforce=${[...enforce].sort().join(",")}`] : []),
            ]
          : ""
      }
      ${resourceKinds(cluster)}
      ${cluster.extraConfiguration}
      ${cluster.nodes.map(nodeLine)}
      ${cluster.partitions.map(partitionLine)}
    `,
  );
}

function resourceKinds({ nodes }: SlurmCluster): string {
  const kinds = new Set(nodes.flatMap(({ resources = [] }) => resources.map((one) => one.split(":")[0]!)));
  return kinds.size === 0 ? "" : `GresTypes=${[...kinds].sort().join(",")}`;
}

function nodeLine(node: SlurmNode): string {
  const { name, address, cpus, memory, sockets = 1, threadsPerCore = 1, features = [], resources = [] } = node;
  return words({
    ...{ NodeName: name, NodeAddr: address, CPUs: cpus, Sockets: sockets },
    ...{ CoresPerSocket: cpus / sockets / threadsPerCore, ThreadsPerCore: threadsPerCore },
    ...{ RealMemory: mebibytes(memory), TmpDisk: node.temporaryDisk && mebibytes(node.temporaryDisk) },
    ...{ Feature: features.join(","), Gres: resources.join(","), Weight: node.weight, State: "UNKNOWN" },
  });
}

function partitionLine(partition: SlurmPartition): string {
  const { name, nodes, allowGroups = [], allowAccounts = [] } = partition;
  return words({
    ...{ PartitionName: name, Nodes: nodes === "all" ? "ALL" : nodes.join(",") },
    ...{ Default: partition.isDefault && "YES", MaxTime: partition.maxTime ?? "UNLIMITED" },
    ...{ DefaultTime: partition.defaultTime, MaxNodes: partition.maxNodes, PriorityTier: partition.priorityTier },
    ...{ AllowGroups: allowGroups.join(","), AllowAccounts: allowAccounts.join(","), State: "UP" },
  });
}

function words(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined && value !== "" && value !== false)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

function cgroupConf({ extraCgroupConfiguration }: SlurmCluster): GeneratedFile {
  return textFile(
    "cgroup.conf",
    text`
      ConstrainCores=yes
      ConstrainRAMSpace=yes
      ConstrainSwapSpace=yes
      ConstrainDevices=yes
      ${extraCgroupConfiguration}
    `,
  );
}
