import { extend, serviceType } from "../language/service-type.ts";
import { checks, commandSucceeds } from "../system/essential-profile.ts";
import { firewall, openPort } from "./firewall.ts";
import { munge } from "./munge.ts";
import { slurm } from "./slurm.ts";
import type { SlurmCluster } from "./slurm-cluster.ts";

export interface SlurmLoginOptions {
  readonly cluster: SlurmCluster;
  readonly allow?: readonly string[];
}

/** Where people submit jobs. */
export const slurmLogin = serviceType<SlurmLoginOptions>({
  name: "slurm-login",
  description: "Slurm's commands for people: sbatch, srun, squeue, sacct. The machine needs munge too.",
  options: {
    cluster: "The cluster that jobs go to: slurmCluster({ … }).",
    allow: "Networks of the nodes, whose jobs answer srun here; an empty list means all.",
  },
  defaults: { allow: [] },
  extensions: [
    extend(munge, () => []),
    extend(slurm, ({ cluster }) => cluster),
    extend(firewall, ({ cluster, allow }) => [openPort(cluster.srunPorts, { from: allow, service: "srun" })]),
    extend(checks, () => [commandSucceeds("sh", "-c", "scontrol ping | grep -q 'is UP'")]),
  ],
});
