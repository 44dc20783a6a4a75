import { userAccount } from "../language/account.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { sbin, text } from "../language/text.ts";
import { accounts } from "../system/essential-accounts.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { munge } from "./munge.ts";
import { slurm } from "./slurm.ts";
import type { SlurmCluster } from "./slurm-cluster.ts";

export interface SlurmrestdOptions {
  readonly cluster: SlurmCluster;
  readonly listenAddresses?: readonly string[];
  readonly port?: number;
  readonly allow?: readonly string[];
}

/** Slurm over HTTP, for programs: each shows a token. */
export const slurmrestd = serviceType<SlurmrestdOptions>({
  name: "slurmrestd",
  description: "Slurm over HTTP, for programs that show a token. The machine needs munge too.",
  options: {
    cluster: "The cluster that it speaks for, with tokens: slurmCluster({ tokens: true, … }).",
    listenAddresses: "Addresses to listen on. It knows no TLS: a reverse proxy belongs before it.",
    port: "TCP port to listen on.",
    allow: "Networks that the firewall lets in; an empty list means all.",
  },
  defaults: { listenAddresses: ["127.0.0.1"], port: 6820, allow: [] },
  validate: ({ cluster }) =>
    cluster.tokens
      ? []
      : [
          {
            ...{ code: "missing-field", field: "cluster", what: `the cluster ${cluster.name} has no tokens` },
            expected: "slurmCluster({ tokens: true, … }): without, nobody could be told from anybody",
          },
        ],
  extensions: [
    extend(munge, () => ["slurmrestd.service"]),
    extend(slurm, ({ cluster }) => cluster),
    extend(profile, () => ["slurmrestd"]),
    // It refuses to be root, and to be slurm: whoever broke it would be the controller.
    extend(accounts, () => [userAccount({ name: "slurmrestd", system: true })]),
    extend(systemdUnits, ({ listenAddresses, port }) => [
      enableUnit("slurmrestd.service"),
      dropIn("slurmrestd.service", "meso", {
        text: text`
          [Service]
          User=slurmrestd
          Group=slurmrestd
          ExecStart=
          ExecStart=${sbin("slurmrestd", "slurmrestd")} -a rest_auth/jwt ${listenAddresses.map((address) => `${address.includes(":") ? `[${address}]` : address}:${port}`).join(" ")}
          Restart=on-failure
          RestartSec=5
        `,
      }),
    ]),
    extend(firewall, ({ listenAddresses, port, allow }) =>
      listenAddresses.every((address) => /^(127\.|::1$)/.test(address))
        ? []
        : [openPort(port, { from: allow, service: "Slurm over HTTP" })],
    ),
    extend(checks, ({ port }) => [unitActive("slurmrestd.service"), portAnswers(port)]),
  ],
});
