// For the test of killed deployments: deploys one version of the toy system, says each step, and ends as meso would.
import { argv, pid, stdout } from "node:process";
import { sha256 } from "../base/hash.ts";
import type { GuestAgent } from "../hypervisors/guest-agent.ts";
import { qemuHost } from "../hypervisors/qemu-host.ts";
import { toySystem } from "../hypervisors/toy-system.testing.ts";
import { centre, machine, nic, volume } from "../language/centre.ts";
import { label } from "../language/device.ts";
import { fileSystem } from "../language/file-system.ts";
import { defineOperatingSystem } from "../language/operating-system.ts";
import { cephPool, qemu } from "../language/places.ts";
import { openCephPool } from "../pools/ceph/ceph-pool.ts";
import type { CephSettings } from "../pools/ceph/settings.ts";
import { desiredCentre } from "./desired.ts";
import { executePlan } from "./execute.ts";
import type { Hands } from "./hands.ts";
import { observe } from "./observe.ts";
import { planDeployment } from "./plan.ts";
import { realClock } from "./real-hands.ts";

export interface ToyDeployment {
  readonly settings: CephSettings;
  /** Of the machines. */
  readonly directory: string;
  /** What the machine calls itself. */
  readonly version: string;
}

/** One machine with a volume, on plain QEMU. */
export function toyCentre(version: string) {
  const os = defineOperatingSystem({ packages: [], services: [] })({
    hostName: "toy",
    fileSystems: [fileSystem({ device: label("toy-erofs"), mountPoint: "/", type: "erofs" })],
  });
  const record = centre({
    name: "toys",
    pool: cephPool({ pool: "images" }),
    hypervisor: qemu({ directory: "machines" }),
    machines: {
      toy: machine({
        os,
        memory: "256MiB",
        nics: [nic({})],
        volumes: { state: volume({ size: "16MiB" }) },
        shutdownSeconds: 20,
      }),
    },
  });
  const facts = { systemHash: sha256(version), architecture: "amd64", checks: [] };
  return desiredCentre(record, new Map([["toy", facts]]));
}

export async function toyName(agent: GuestAgent): Promise<string> {
  const { stdout: line } = await agent.exec(["/bin/cat", "/proc/cmdline"]);
  return /toy\.name=(\S+)/.exec(line)?.[1] ?? "";
}

async function deploy({ settings, directory, version }: ToyDeployment): Promise<string> {
  const pool = openCephPool(settings);
  const hypervisor = qemuHost({ directory });
  const desired = toyCentre(version);
  const plan = planDeployment(desired, await observe(pool, hypervisor, desired), { now: realClock.now() });
  const hands: Hands = {
    secrets: () => new Map(),
    pool,
    hypervisor,
    clock: realClock,
    holder: `test process ${pid}`,
    signal: new AbortController().signal,
    report: (event) => void (event.kind === "step" && stdout.write(`step ${event.step}\n`)),
    publish: async (requests) => {
      stdout.write("step publish\n");
      const recipe = (await toySystem()).disk("erofs", { name: version });
      const publications = requests.map(({ image, stamp, machine: { path, systemHash } }) => ({
        name: image,
        recipe,
        about: {
          ...({ formatVersion: 1, centre: desired.name, machine: path, role: "published", stamp } as const),
          system: {
            ...{ systemHash, imageHash: sha256(`image ${version}`), lockHash: sha256(""), builder: "a test" },
            publishedAt: Math.floor(realClock.now()),
          },
        },
      }));
      const noSegments = { segmentDataPath: () => "" };
      return pool.publish(publications, { files: noSegments, identify: (id) => id, signal: hands.signal });
    },
    // What the trial itself does has tests of its own; here it is about what surrounds it.
    verify: async () => ({ passed: true, at: Math.floor(realClock.now()), by: "a test", failed: [], checks: 0 }),
    check: async (_, agent, { deadlineSeconds }) => {
      await agent.ping(deadlineSeconds);
      const name = await toyName(agent);
      return { failed: name === version ? [] : [`${name} runs instead of ${version}`], checks: 1 };
    },
  };
  const { result, reasons, machines } = await executePlan(plan, hands);
  return [
    result,
    ...reasons,
    ...machines.flatMap(({ path, reasons: why }) => why.map((one) => `${path}: ${one}`)),
  ].join("; ");
}

if (argv[2] !== undefined) {
  stdout.write(`result ${await deploy(JSON.parse(argv[2]) as ToyDeployment)}\n`);
}
