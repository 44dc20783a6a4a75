import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  endpoint,
  fileSystem,
  inventory,
  label,
  network,
  operatingSystem,
  type Service,
  secret,
} from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { munge, slurmCluster, slurmctld, slurmd, slurmdbd, slurmNodes, slurmrestd } from "./index.ts";

const { hosts } = inventory({
  domain: "example.org",
  networks: { lan: network({ name: "lan", range: "10.78.0.0/24" }) },
  machines: {
    ctld: { lan: "10.78.0.1" },
    dbd: { lan: "10.78.0.2" },
    "cn-1": { lan: "10.78.0.11" },
    "cn-2": { lan: "10.78.0.12" },
    "gpu-1": { lan: "10.78.0.21" },
  },
});
const controllers = [endpoint("slurmctld", hosts.ctld)];
const nodes = [
  ...slurmNodes([hosts["cn-1"], hosts["cn-2"]], { cpus: 128, sockets: 2, threadsPerCore: 2, memory: "250GiB" }),
  ...slurmNodes([hosts["gpu-1"]], { cpus: 16, memory: "64000MiB", resources: ["gpu:a100:2"], features: ["ib"] }),
];
const waves = slurmCluster({
  ...{ name: "waves", controllers, accounting: endpoint("slurmdbd", hosts.dbd), nodes },
  partitions: [
    { name: "all", nodes: "all", isDefault: true, maxTime: "1-00:00:00" },
    { name: "gpu", nodes: ["gpu-1"], priorityTier: 10, allowAccounts: ["ai"] },
  ],
  enforce: ["limits", "associations"],
});
const key = munge({ key: secret("munge-key") });

function manifestOf(hostName: string, ...services: readonly Service[]) {
  return lowerSystem(
    operatingSystem({
      hostName,
      fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
      services: [...baseServices, ...services],
    }),
  );
}

function textOf(manifest: ReturnType<typeof manifestOf>, ending: string): string {
  const file = manifest.files.find((one) => one.kind === "file" && one.path.endsWith(ending));
  assert.ok(file?.kind === "file", `no ${ending}`);
  return file.text;
}

test("all machines of a cluster have the same slurm.conf, made from the inventory", () => {
  const ofNode = textOf(manifestOf("cn-1", key, slurmd({ cluster: waves })), "-slurm.conf");
  const ofController = textOf(manifestOf("ctld", key, slurmctld({ cluster: waves })), "-slurm.conf");
  assert.equal(ofNode, ofController);
  assert.deepEqual(
    ofNode.split("\n").filter((line) => /^(Slurmctld(Host|Port)|Accounting|Gres|Node|Partition)/.test(line)),
    [
      "SlurmctldHost=ctld(10.78.0.1)",
      "SlurmctldPort=6817",
      "AccountingStorageType=accounting_storage/slurmdbd",
      "AccountingStorageHost=10.78.0.2",
      "AccountingStoragePort=6819",
      "AccountingStorageEnforce=associations,limits",
      "GresTypes=gpu",
      "NodeName=cn-1 NodeAddr=10.78.0.11 CPUs=128 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=256000 State=UNKNOWN",
      "NodeName=cn-2 NodeAddr=10.78.0.12 CPUs=128 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=256000 State=UNKNOWN",
      "NodeName=gpu-1 NodeAddr=10.78.0.21 CPUs=16 Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=64000 Feature=ib Gres=gpu:a100:2 State=UNKNOWN",
      "PartitionName=all Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP",
      "PartitionName=gpu Nodes=gpu-1 MaxTime=UNLIMITED PriorityTier=10 AllowAccounts=ai State=UP",
    ],
  );
});

test("a machine that is no node, no controller, or without munge is refused", () => {
  assert.throws(() => manifestOf("cn-3", key, slurmd({ cluster: waves })), /cn-3 is no node of the cluster waves/);
  assert.throws(() => manifestOf("cn-1", key, slurmctld({ cluster: waves })), /cn-1 is no controller/);
  assert.throws(() => manifestOf("cn-1", slurmd({ cluster: waves })), /add munge\(\{ key: … \}\)/);
  const other = slurmCluster({ name: "other", controllers, nodes, partitions: [{ name: "a", nodes: "all" }] });
  assert.throws(
    () => manifestOf("ctld", key, slurmctld({ cluster: waves }), slurmrestd({ cluster: { ...other, tokens: true } })),
    /two clusters, other for slurmctld|two clusters, waves for slurmctld and other for slurmrestd/,
  );
});

test("tokens need a key, and slurmrestd needs tokens", () => {
  const withTokens = { ...waves, tokens: true };
  assert.throws(() => manifestOf("ctld", key, slurmctld({ cluster: withTokens })), /tokens and a tokenKey/);
  assert.throws(() => manifestOf("ctld", key, slurmrestd({ cluster: waves })), /has no tokens/);
  const manifest = manifestOf("ctld", key, slurmctld({ cluster: withTokens, tokenKey: secret("token-key") }));
  assert.match(textOf(manifest, "-slurm.conf"), /^AuthAltTypes=auth\/jwt$/m);
});

test("a password stands in slurmdbd.conf only when the machine runs", () => {
  const database = { server: endpoint("mysql", hosts.ctld), password: secret("slurm-db") };
  const manifest = manifestOf("dbd", key, slurmdbd({ database, purge: { jobs: "12month" } }));
  assert.match(textOf(manifest, "-slurmdbd.conf.template"), /^StoragePass=@PASSWORD@$/m);
  assert.match(textOf(manifest, "-slurmdbd.conf.template"), /^PurgeJobAfter=12month$/m);
  assert.throws(() => manifestOf("dbd", key, slurmdbd({ purge: { jobs: "a year" } })), /12month/);
  assert.doesNotMatch(textOf(manifestOf("dbd", key, slurmdbd()), "/slurmdbd.conf"), /StoragePass/);
});

test("every mistake in a cluster is told", () => {
  const told = (change: object, pattern: RegExp) =>
    assert.throws(() => slurmCluster({ name: "a", controllers, nodes, partitions: [], ...change } as never), pattern);
  told({}, /no partition/);
  told({ name: "Waves" }, /small letters/);
  told({ controllers: [] }, /no controller/);
  told({ nodes: [...nodes, nodes[0]] }, /cn-1 is there twice/);
  told({ nodes: slurmNodes([{ name: "x", address: "nowhere" }], { cpus: 1, memory: "1GiB" }) }, /nowhere/);
  told({ nodes: slurmNodes([hosts["cn-1"]], { cpus: 6, sockets: 4, memory: "1GiB" }) }, /6 processors in 4 sockets/);
  told({ partitions: [{ name: "p", nodes: ["cn-3"] }] }, /cn-3, which the cluster does not/);
  told({ partitions: [{ name: "p", nodes: "all", maxTime: "a day" }] }, /a day/);
});

export function whatDoesNotCompile() {
  const partition = { name: "p", nodes: ["cn-9"] } as const;
  // @ts-expect-error no such node
  slurmCluster({ name: "a", controllers, nodes, partitions: [partition] });
  // @ts-expect-error what controls is no accounting
  slurmCluster({ name: "a", controllers, accounting: controllers[0], nodes, partitions: [] });
  // @ts-expect-error no such machine
  return slurmNodes([hosts["cn-7"]], { cpus: 1, memory: "1GiB" });
}
