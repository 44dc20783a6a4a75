import { failure } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { tmpfiles } from "../system/essential-boot.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { munge } from "./munge.ts";
import { slurm } from "./slurm.ts";
import type { SlurmCluster } from "./slurm-cluster.ts";

export interface SlurmdOptions {
  readonly cluster: SlurmCluster;
  readonly allow?: readonly string[];
}

/** A compute node of a Slurm cluster. */
export const slurmd = serviceType<SlurmdOptions>({
  name: "slurmd",
  description: "Compute node of a Slurm cluster: runs the jobs that the controller sends. The machine needs munge too.",
  options: {
    cluster: "The cluster whose node it is: slurmCluster({ … }).",
    allow: "Networks that the firewall lets in; an empty list means all.",
  },
  defaults: { allow: [] },
  extensions: [
    extend(munge, () => ["slurmd.service"]),
    extend(slurm, ({ cluster }, { hostName }) => {
      const nodes = cluster.nodes.map(({ name }) => name);
      if (nodes.includes(hostName)) return cluster;
      throw failure(
        "not-a-node",
        `${hostName} is no node of the cluster ${cluster.name}`,
        nearestHint(hostName, nodes),
      );
    }),
    extend(profile, () => ["slurmd"]),
    // Where scripts of running jobs lie: they end with the machine, so nothing of it need last.
    extend(tmpfiles, () => ["d /var/lib/slurm/slurmd 0755 root root -"]),
    extend(systemdUnits, () => [
      enableUnit("slurmd.service"),
      dropIn("slurmd.service", "meso", {
        // A controller that is away at boot does not keep the node out for ever.
        text: text`
          [Service]
          Restart=on-failure
          RestartSec=5
        `,
      }),
    ]),
    extend(firewall, ({ cluster, allow }) => [
      openPort(cluster.slurmdPort, { from: allow, service: "Slurm's node" }),
      openPort(cluster.srunPorts, { from: allow, service: "srun" }),
    ]),
    extend(checks, ({ cluster }) => [unitActive("slurmd.service"), portAnswers(cluster.slurmdPort)]),
  ],
});
