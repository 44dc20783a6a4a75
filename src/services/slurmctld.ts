import { failure } from "../base/error.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, programFile, text } from "../language/text.ts";
import { secretFiles } from "../system/essential-credentials.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { munge } from "./munge.ts";
import { slurm, tokenKeyFiles, tokenMistakes } from "./slurm.ts";
import type { SlurmCluster } from "./slurm-cluster.ts";
import { state, stateFolder } from "./state.ts";

export interface SlurmctldOptions {
  readonly cluster: SlurmCluster;
  readonly tokenKey?: Secret | undefined;
  readonly allow?: readonly string[];
}

/** The controller of a Slurm cluster. */
export const slurmctld = serviceType<SlurmctldOptions>({
  name: "slurmctld",
  description: "Controller of a Slurm cluster: takes jobs, and gives them to nodes. The machine needs munge too.",
  options: {
    cluster: "The cluster that it controls: slurmCluster({ … }).",
    tokenKey: "What tokens are signed with, where the cluster has tokens: 32 bytes or more.",
    allow: "Networks that the firewall lets in; an empty list means all.",
  },
  defaults: { tokenKey: undefined, allow: [] },
  validate: ({ cluster, tokenKey }) => tokenMistakes(cluster, tokenKey),
  extensions: [
    extend(munge, () => ["slurmctld.service"]),
    extend(slurm, ({ cluster }, { hostName }) => {
      const controllers = cluster.controllers.map((one) => one.hostName);
      if (controllers.includes(hostName)) return cluster;
      throw failure("not-a-controller", `${hostName} is no controller of the cluster ${cluster.name}`, {
        expected: controllers.join(" or "),
      });
    }),
    extend(profile, () => ["slurmctld"]),
    extend(state, () => [
      stateFolder("/var/lib/slurm/slurmctld", { user: "slurm", mode: 0o700, units: ["slurmctld.service"] }),
    ]),
    extend(secretFiles, ({ tokenKey }) => tokenKeyFiles(tokenKey, "slurmctld.service")),
    extend(systemdUnits, ({ cluster }) => [
      enableUnit("slurmctld.service"),
      dropIn("slurmctld.service", "meso", {
        text: text`
          [Unit]
          After=slurmdbd.service

          [Service]
          # It may wait for its accounting.
          TimeoutStartSec=infinity
          ${cluster.accounting ? text`ExecStartPre=${registration(cluster)}` : ""}
        `,
      }),
    ]),
    extend(firewall, ({ cluster, allow }) => [
      openPort(cluster.controllers[0]!.port, { from: allow, service: "Slurm's controller" }),
    ]),
    extend(checks, ({ cluster }) => [
      unitActive("slurmctld.service"),
      portAnswers(cluster.controllers[0]!.port),
      commandSucceeds("sh", "-c", "scontrol ping | grep -q 'is UP'"),
    ]),
  ],
});

/** A controller that has nothing saved yet stops when its accounting is away: before its first start it is waited for. */
function registration({ name, accounting }: SlurmCluster): GeneratedFile {
  const sacctmgr = bin("slurm-client", "sacctmgr");
  const { hostName, address } = accounting!;
  return programFile(
    "slurm-register-cluster",
    text`
      #!/bin/sh
      set -u
      [ ! -e /var/lib/slurm/slurmctld/assoc_mgr_state ] || exit 0
      until known=$(${sacctmgr} --noheader --parsable2 show cluster format=cluster); do
        echo "waiting for the accounting on ${hostName} (${address})" >&2
        sleep 3
      done
      echo "$known" | grep -Fqx ${name} || ${sacctmgr} --immediate add cluster ${name}
    `,
  );
}
