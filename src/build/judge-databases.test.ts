import assert from "node:assert/strict";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import {
  baseFileSystems,
  baseServices,
  endpoint,
  fileSystem,
  inventory,
  label,
  network,
  operatingSystem,
  secret,
} from "../index.ts";
import {
  autofs,
  lvm,
  mariadb,
  munge,
  podman,
  postgresql,
  slurmCluster,
  slurmctld,
  slurmd,
  slurmNodes,
} from "../services/index.ts";
import { testSession } from "../test-support/test-session.ts";
import { realiseSystem } from "./compose.ts";
import { prepareSystem } from "./prepare.ts";

const { hosts } = inventory({
  domain: "example.org",
  networks: { lan: network({ name: "lan", range: "10.78.0.0/24" }) },
  machines: { judged: { lan: "10.78.0.1" } },
});

interface Lines {
  readonly slurm: string;
  readonly podman: string;
  readonly lvm: Readonly<Record<string, number>>;
  readonly mariadb: Readonly<Record<string, number>>;
  readonly postgresql: Readonly<Record<string, number>>;
}

/** mariadbd, postgres, scontrol, quadlet, lvmconfig and automount, each with one more line of its configuration. */
function judged({ slurm, podman: line, ...settings }: Lines) {
  const cluster = slurmCluster({
    ...{ name: "waves", controllers: [endpoint("slurmctld", hosts.judged)] },
    nodes: slurmNodes([hosts.judged], { cpus: 1, memory: "1GiB" }),
    partitions: [{ name: "all", nodes: "all" }],
    extraConfiguration: slurm,
  });
  const os = operatingSystem({
    hostName: "judged",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: [
      ...baseServices,
      munge({ key: secret("munge-key") }),
      slurmctld({ cluster }),
      slurmd({ cluster }),
      mariadb({ settings: settings.mariadb }),
      postgresql({ settings: settings.postgresql }),
      lvm({ settings: settings.lvm }),
      podman({ containers: [{ name: "hello", image: "r.example.org/hello", extraConfiguration: line }] }),
      autofs({ maps: [{ mountPoint: "/homes", entries: [{ key: "*", location: "10.78.0.1:/homes/&" }] }] }),
    ],
  });
  const session = testSession();
  return prepareSystem(session, os).then((prepared) => realiseSystem(session, prepared));
}

test("databases, clusters and maps are judged by the programs that read them", async () => {
  const { prepared } = await judged({
    slurm: "SchedulerTimeSlice=60",
    podman: "ReadOnly=true",
    lvm: { "devices/scan_lvs": 0 },
    mariadb: { max_connections: 50 },
    postgresql: { max_connections: 50 },
  });
  assert.deepEqual(prepared.manifest.configurationChecks.map(({ name }) => name).sort(), [
    ...["automount", "lvmconfig", "mariadbd", "postgres", "quadlet", "scontrol"],
  ]);
});

test("a word that none of them knows is told by each", async () => {
  await assert.rejects(
    judged({
      slurm: "Nonsense=1",
      podman: "Nonsense=1",
      lvm: { "devices/nonsense": 1 },
      mariadb: { Nonsense: 50 },
      postgresql: { nonsense: 50 },
    }),
    (error: unknown) => {
      assert.ok(error instanceof MesoError);
      const told = error.problems.map(({ what }) => what.split("\n")[0]).sort();
      assert.deepEqual(told, [
        "lvmconfig refuses the configuration of lvm:",
        "mariadbd refuses the configuration of mariadb:",
        "postgres refuses the configuration of postgresql:",
        "quadlet refuses the configuration of podman:",
        "scontrol refuses the configuration of slurm:",
      ]);
      const said = error.problems.map(({ what }) => what).join("\n");
      for (const words of [/unknown variable 'Nonsense=50'/, /parameter "nonsense"/, /Nonsense/]) {
        assert.match(said, words);
      }
      return true;
    },
  );
});
