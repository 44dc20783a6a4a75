import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { openssh } from "./openssh.ts";

export interface BastionOptions {
  readonly passengers: readonly string[];
  readonly operators?: readonly string[];
  readonly targets?: readonly Endpoint<"ssh">[];
  readonly aliveSeconds?: number;
}

/** The one way in by SSH: `ssh -J bastion inner`. Its sshd is the service `openssh`, with that one's options. */
export const bastion = serviceType<BastionOptions>({
  name: "bastion",
  description:
    "SSH bastion: members of some groups pass through to machines behind it (ssh -J), without a shell, a file or a terminal on it; nobody else logs in but its operators.",
  options: {
    passengers: "Groups whose members may pass through, and do nothing else.",
    operators: "Groups whose members may log in to the bastion itself; root's own is root.",
    targets: "Where passengers may go; an empty list means anywhere.",
    aliveSeconds: "A connection whose other end has said nothing for three times so long is closed.",
  },
  defaults: { operators: ["root", "adm"], targets: [], aliveSeconds: 60 },
  validate: ({ passengers, operators, aliveSeconds }) => [
    ...(passengers.length > 0
      ? []
      : [{ code: "missing-field", field: "passengers", what: "nobody may pass through", expected: "names of groups" }]),
    ...Object.entries({ passengers, operators }).flatMap(([field, groups]) =>
      groups
        .filter((name) => !/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name))
        .map((name) => ({
          ...{ code: "wrong-name", field, what: `found ${JSON.stringify(name)}` },
          expected: "the name of a group",
        })),
    ),
    ...(Number.isInteger(aliveSeconds) && aliveSeconds >= 0
      ? []
      : [{ code: "wrong-value", field: "aliveSeconds", what: `found ${aliveSeconds}`, expected: "a whole number" }]),
  ],
  extensions: [
    extend(openssh, ({ passengers, operators, targets, aliveSeconds }) => ({
      allowGroups: [...passengers, ...operators],
      lines: [
        // Tells each connection's key, so that the journal says who passed.
        "LogLevel VERBOSE",
        "AllowAgentForwarding no",
        "AllowStreamLocalForwarding no",
        "PermitTunnel no",
        "MaxStartups 50:30:200",
        `ClientAliveInterval ${aliveSeconds}`,
        "ClientAliveCountMax 3",
      ],
      matches: [
        {
          // Who is both is an operator.
          criteria: `Group ${[...passengers, ...operators.map((name) => `!${name}`)].join(",")}`,
          lines: [
            // No shell, no program, no file: only channels to elsewhere (sshd_config(5)).
            "MaxSessions 0",
            "PermitTTY no",
            "X11Forwarding no",
            "AllowTcpForwarding local",
            "GatewayPorts no",
            `PermitOpen ${targets.length > 0 ? targets.flatMap(destinations).join(" ") : "any"}`,
            "PermitListen none",
          ],
        },
      ],
    })),
  ],
});

/** A client names a machine as it likes: by either name, or by address. */
function destinations({ host, hostName, address, port }: Endpoint<"ssh">): string[] {
  const plain = address.includes(":") ? `[${address}]` : address;
  return [...new Set([host, hostName, plain])].map((name) => `${name}:${port}`);
}
