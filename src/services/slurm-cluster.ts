import { isIP } from "node:net";
import { MesoError, type Problem } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { nearestHint } from "../base/nearest.ts";
import { parseSize } from "../base/size.ts";
import type { Endpoint } from "../language/endpoint.ts";
import { isHostName } from "../language/name-resolution.ts";

/** A machine of the inventory, or a name and an address. */
export interface SlurmHost<Name extends string = string> {
  readonly name: Name;
  readonly address: string;
}

/** What a compute node has. */
export interface SlurmHardware {
  /** Processors that jobs are given: cores, or threads where `threadsPerCore` is 2. */
  readonly cpus: number;
  /** What jobs may have of its memory: `"180GiB"`; somewhat less than there is, for the system itself. */
  readonly memory: string;
  /** Default 1. */
  readonly sockets?: number;
  /** Default 1. */
  readonly threadsPerCore?: number;
  /** Disk space for jobs in `/tmp`. */
  readonly temporaryDisk?: string;
  /** Words that jobs may ask for (`--constraint`): `["avx512", "ib"]`. */
  readonly features?: readonly string[];
  /** Generic resources: `["gpu:a100:2"]`. What they are on the node is found by `slurmd`, where it can. */
  readonly resources?: readonly string[];
  /** Nodes of lower weight are used first. Default 1. */
  readonly weight?: number;
}

export interface SlurmNode<Name extends string = string> extends SlurmHardware, SlurmHost<Name> {}

/** Nodes that jobs are queued for together. */
export interface SlurmPartition<Name extends string = string> {
  readonly name: string;
  readonly nodes: readonly Name[] | "all";
  /** Where jobs go that name none. */
  readonly isDefault?: boolean;
  /** As Slurm writes times: `"1-00:00:00"`; default: no limit. */
  readonly maxTime?: string;
  readonly defaultTime?: string;
  readonly maxNodes?: number;
  /** Groups of the operating system whose members may use it; default: everybody. */
  readonly allowGroups?: readonly string[];
  readonly allowAccounts?: readonly string[];
  /** Jobs of a partition of higher tier are looked at first. Default 1. */
  readonly priorityTier?: number;
}

/** What is enforced of the accounting. */
export type SlurmEnforcement = "associations" | "limits" | "qos" | "safe" | "wckeys";

/** A cluster, of which every machine's slurm.conf is written. Made by `slurmCluster`. */
export interface SlurmCluster {
  readonly name: string;
  readonly controllers: readonly Endpoint<"slurmctld">[];
  readonly accounting: Endpoint<"slurmdbd"> | undefined;
  readonly nodes: readonly SlurmNode[];
  readonly partitions: readonly SlurmPartition[];
  readonly enforce: readonly SlurmEnforcement[];
  readonly slurmdPort: number;
  readonly srunPorts: string;
  readonly tokens: boolean;
  readonly mailProgram: string;
  readonly extraConfiguration: string;
  readonly extraCgroupConfiguration: string;
}

export interface SlurmClusterOptions<Name extends string> {
  /** Small letters, digits and _: the database's tables are named after it. */
  readonly name: string;
  /** The first that lives controls; the others take over from what it saved. */
  readonly controllers: readonly Endpoint<"slurmctld">[];
  /** Without it there is no accounting. */
  readonly accounting?: Endpoint<"slurmdbd">;
  readonly nodes: readonly SlurmNode<Name>[];
  readonly partitions: readonly SlurmPartition<NoInfer<Name>>[];
  readonly enforce?: readonly SlurmEnforcement[];
  readonly slurmdPort?: number;
  /** Where `srun` and `salloc` listen for what their jobs say. Default: `"60001-63000"`. */
  readonly srunPorts?: string;
  /** Whether people and programs may show tokens in place of a munge of their own: for slurmrestd. */
  readonly tokens?: boolean;
  /** Sends mail about jobs to who asked for it. Default: nobody is sent any. */
  readonly mailProgram?: string;
  /** Further lines of slurm.conf(5) and cgroup.conf(5). */
  readonly extraConfiguration?: string;
  readonly extraCgroupConfiguration?: string;
}

/**
 * A cluster as a value: the services of all its machines are given it, and write the same slurm.conf.
 *
 *     const waves = slurmCluster({
 *       name: "waves",
 *       controllers: [endpoint("slurmctld", hosts.ctld)],
 *       accounting: endpoint("slurmdbd", hosts.dbd),
 *       nodes: slurmNodes([hosts["cn-1"], hosts["cn-2"]], { cpus: 64, memory: "250GiB" }),
 *       partitions: [{ name: "standard", nodes: "all", isDefault: true, maxTime: "3-00:00:00" }],
 *     });
 *
 * A partition with a node that the cluster does not have does not compile.
 *
 * @throws MesoError with every mistake.
 */
export function slurmCluster<const Name extends string>(given: SlurmClusterOptions<Name>): SlurmCluster {
  const cluster: SlurmCluster = {
    ...{ enforce: [], slurmdPort: 6818, mailProgram: "/usr/bin/true", accounting: undefined },
    ...{ srunPorts: "60001-63000", tokens: false, extraConfiguration: "", extraCgroupConfiguration: "" },
    ...given,
    // Of a machine of the inventory no more than this is needed.
    nodes: given.nodes.map(({ name, address, ...hardware }) => ({ ...hardwareOf(hardware), name, address })),
  };
  const where = callerLocation(slurmCluster);
  const problems = clusterProblems(cluster);
  if (problems.length > 0) throw new MesoError(problems.map((problem) => ({ ...problem, ...(where && { where }) })));
  return Object.freeze(cluster);
}

/** Nodes that are alike: `slurmNodes([hosts["cn-1"], hosts["cn-2"]], { cpus: 64, memory: "250GiB" })`. */
export function slurmNodes<const Name extends string>(
  hosts: readonly SlurmHost<Name>[],
  hardware: SlurmHardware,
): readonly SlurmNode<Name>[] {
  return hosts.map(({ name, address }) => ({ name, address, ...hardware }));
}

/** Where slurmrestd and `slurmCluster` look for the number: Slurm counts memory and disks in MiB. */
export function mebibytes(size: string): number {
  return Math.floor(parseSize(size) / 2 ** 20);
}

function hardwareOf(given: SlurmHardware): SlurmHardware {
  const { cpus, memory, sockets, threadsPerCore, temporaryDisk, features, resources, weight } = given;
  const all = { cpus, memory, sockets, threadsPerCore, temporaryDisk, features, resources, weight };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as SlurmHardware;
}

function clusterProblems(cluster: SlurmCluster): Problem[] {
  const { name, controllers, nodes, partitions } = cluster;
  const defaults = partitions.filter(({ isDefault }) => isDefault).map((one) => one.name);
  const problem = (code: string, what: string, expected?: string): Problem => ({
    ...{ code, what: `slurmCluster: ${what}` },
    ...(expected && { expected }),
  });
  return [
    ...(/^[a-z0-9_]{1,40}$/.test(name)
      ? []
      : [problem("wrong-name", `found the name ${JSON.stringify(name)}`, "small letters, digits and _")]),
    ...(controllers.length > 0 ? [] : [problem("missing-field", "no controller", 'endpoint("slurmctld", …)')]),
    ...(nodes.length > 0 ? [] : [problem("missing-field", "no node", "nodes: slurmNodes([…], { … })")]),
    ...(partitions.length > 0 ? [] : [problem("missing-field", "no partition", '{ name: "all", nodes: "all" }')]),
    ...(defaults.length <= 1 ? [] : [problem("two-defaults", `${defaults.join(" and ")} are both the default`)]),
    ...twice(nodes).map((node) => problem("same-name", `the node ${node} is there twice`)),
    ...twice(partitions).map((one) => problem("same-name", `the partition ${one} is there twice`)),
    ...nodes.flatMap((node) => nodeProblems(node, problem)),
    ...partitions.flatMap((partition) => partitionProblems(partition, nodes, problem)),
  ];
}

type Tell = (code: string, what: string, expected?: string) => Problem;

function nodeProblems(node: SlurmNode, problem: Tell): Problem[] {
  const { name, address, cpus, memory, sockets = 1, threadsPerCore = 1 } = node;
  const isWhole = (value: number) => Number.isInteger(value) && value >= 1;
  return [
    ...(isHostName(name) && !name.includes(".") ? [] : [problem("wrong-host-name", `found the node ${name}`)]),
    ...(isIP(address) === 0 ? [problem("wrong-address", `${name} has the address ${address}`)] : []),
    ...([cpus, sockets, threadsPerCore].every(isWhole) && cpus % (sockets * threadsPerCore) === 0
      ? []
      : [
          problem(
            "wrong-value",
            `${name} has ${cpus} processors in ${sockets} sockets with ${threadsPerCore} threads a core`,
            "as many in each socket, and whole numbers",
          ),
        ]),
    ...(mebibytes(memory) >= 1 ? [] : [problem("wrong-value", `${name} has ${memory} of memory`, "1MiB at least")]),
  ];
}

const time = /^(UNLIMITED|(\d+-)?\d+(:\d\d){0,2})$/;

function partitionProblems(partition: SlurmPartition, nodes: readonly SlurmNode[], problem: Tell): Problem[] {
  const { name, maxTime = "UNLIMITED", defaultTime = "UNLIMITED" } = partition;
  const known = nodes.map((node) => node.name);
  const unknown = partition.nodes === "all" ? [] : partition.nodes.filter((node) => !known.includes(node));
  return [
    ...(/^[A-Za-z0-9_-]+$/.test(name) && name !== "DEFAULT"
      ? []
      : [problem("wrong-name", `found the partition ${JSON.stringify(name)}`, "letters, digits, _ and -")]),
    ...unknown.map((node) => ({
      ...problem("unknown-node", `the partition ${name} has ${node}, which the cluster does not`),
      ...nearestHint(node, known),
    })),
    ...[maxTime, defaultTime]
      .filter((one) => !time.test(one))
      .map((one) => problem("wrong-value", `the partition ${name} has the time ${one}`, "minutes, or 1-12:00:00")),
  ];
}

function twice(named: readonly { readonly name: string }[]): string[] {
  const names = named.map(({ name }) => name);
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}
