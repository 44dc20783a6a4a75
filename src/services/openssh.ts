import { extend, type Received, serviceType } from "../language/service-type.ts";
import { sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles, symlink } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits, unit } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** Of host keys alone, so that it can lie on another disk than what else is in /etc/ssh. */
const keyFolder = "/var/lib/ssh";

const rootLogins = ["no", "prohibit-password", "yes"] as const;

export interface OpensshOptions {
  readonly port?: number;
  /** Addresses to listen on; none means all. */
  readonly listenAddresses?: readonly string[];
  readonly permitRootLogin?: (typeof rootLogins)[number];
  readonly passwordAuthentication?: boolean;
  readonly x11Forwarding?: boolean;
  readonly allowGroups?: readonly string[];
  readonly hostKey?: string;
  readonly extraConfiguration?: string;
  readonly parts?: readonly SshdPart[];
}

/** What another service says in sshd_config(5). */
export interface SshdPart {
  /** For everybody. */
  readonly lines?: readonly (string | Text)[];
  /** For whom the criteria fit: `{ criteria: "Group students", lines: ["PermitTTY no"] }`. */
  readonly matches?: readonly { readonly criteria: string; readonly lines: readonly string[] }[];
  /** Groups whose members may log in; once there are any, nobody else may. */
  readonly allowGroups?: readonly string[];
}

/** The SSH server. Administrators' keys come from `authorizedKeys` of the accounts. */
export const openssh = serviceType<OpensshOptions, SshdPart>({
  name: "openssh",
  description: "OpenSSH server; who may log in is said by the accounts' authorizedKeys.",
  options: {
    port: "TCP port to listen on.",
    listenAddresses: "Addresses to listen on; an empty list means all.",
    permitRootLogin: "Whether root may log in: no, prohibit-password (keys only) or yes.",
    passwordAuthentication: "Whether a password is enough to log in.",
    x11Forwarding: "Whether graphical programs may be shown on the client.",
    allowGroups: "Only members of these groups may log in; an empty list means everybody.",
    hostKey:
      "Where the host's Ed25519 key is. Made at boot when it is missing, never part of an image; in its usual place it lasts when the machine has a state disk.",
    extraConfiguration: "Further lines of sshd_config(5); Match blocks go here.",
    parts: "What other services of the system say in it.",
  },
  defaults: {
    port: 22,
    listenAddresses: [],
    permitRootLogin: "prohibit-password",
    passwordAuthentication: false,
    x11Forwarding: false,
    allowGroups: [],
    hostKey: `${keyFolder}/ssh_host_ed25519_key`,
    extraConfiguration: "",
    parts: [],
  },
  extend: (options, received: readonly Received<SshdPart>[]) => ({
    ...options,
    parts: [...options.parts, ...received.map(({ value }) => value)],
  }),
  validate: ({ port, hostKey, permitRootLogin }) => [
    ...(rootLogins.includes(permitRootLogin)
      ? []
      : [
          {
            code: "wrong-value",
            field: "permitRootLogin",
            what: `found ${JSON.stringify(permitRootLogin)}`,
            expected: rootLogins.join(", "),
          },
        ]),
    ...(Number.isInteger(port) && port >= 1 && port <= 65535
      ? []
      : [
          { code: "wrong-port", field: "port", what: `found the port ${port}`, expected: "a whole number, 1 to 65535" },
        ]),
    ...(/^\/[^\s]+$/.test(hostKey)
      ? []
      : [
          {
            code: "wrong-path",
            field: "hostKey",
            what: `found ${JSON.stringify(hostKey)}`,
            expected: "an absolute path",
          },
        ]),
  ],
  extensions: [
    extend(profile, () => ["openssh-server"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/ssh/sshd_config", sshdConfig(options), { replacesPackageFile: true }),
      // systemd's generator would open further listeners (a socket file, AF_VSOCK) that know nothing of this one.
      symlink("/etc/systemd/system-generators/systemd-ssh-generator", "/dev/null"),
    ]),
    extend(systemdUnits, (options) => [
      enableUnit("ssh.service"),
      dropIn("ssh.service", "meso", {
        text: text`
          [Unit]
          Wants=ssh-host-key.service
          After=ssh-host-key.service

          [Service]
          ExecStartPre=
          ExecStartPre=${sbin("openssh-server", "sshd")} -t -f ${sshdConfig(options)}
          ExecStart=
          ExecStart=${sbin("openssh-server", "sshd")} -D -f ${sshdConfig(options)}
          ExecReload=
          ExecReload=${sbin("openssh-server", "sshd")} -t -f ${sshdConfig(options)}
          ExecReload=/bin/kill -HUP $MAINPID
        `,
      }),
      hostKeyUnit(options.hostKey),
    ]),
    extend(configurationChecks, (options, { channel }) => {
      // Only since OpenSSH 9.3 a configuration can be looked at without the host's keys.
      if (channel.suite === "bookworm") return [];
      const config = sshdConfig(options);
      return [{ name: "sshd", program: sbin("openssh-server", "sshd"), arguments: ["-G", "-f", config] }];
    }),
    extend(state, ({ hostKey }) =>
      hostKey.startsWith(`${keyFolder}/`)
        ? [stateFolder(keyFolder, { mode: 0o700, units: ["ssh-host-key.service", "ssh.service"] })]
        : [],
    ),
    extend(firewall, ({ port }) => [openPort(port, { service: "SSH" })]),
    extend(checks, ({ port }) => [unitActive("ssh.service"), portAnswers(port)]),
  ],
});

function sshdConfig(options: Required<OpensshOptions>) {
  const yesNo = (value: boolean): string => (value ? "yes" : "no");
  const groups = [
    ...new Set([...options.allowGroups, ...options.parts.flatMap(({ allowGroups = [] }) => allowGroups)]),
  ];
  const matches = options.parts.flatMap(({ matches = [] }) => matches);
  return textFile(
    "sshd_config",
    text`
      Port ${options.port}
      ${options.listenAddresses.map((address) => `ListenAddress ${address}`)}
      HostKey ${options.hostKey}
      AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
      PermitRootLogin ${options.permitRootLogin}
      PasswordAuthentication ${yesNo(options.passwordAuthentication)}
      KbdInteractiveAuthentication no
      UsePAM yes
      X11Forwarding ${yesNo(options.x11Forwarding)}
      PrintMotd no
      AcceptEnv LANG LC_*
      ${groups.length > 0 ? `AllowGroups ${groups.join(" ")}` : ""}
      Subsystem sftp /usr/lib/openssh/sftp-server
      ${options.parts.flatMap(({ lines = [] }) => lines)}
      ${options.extraConfiguration}
      ${matches.map(({ criteria, lines }) => text`Match ${criteria}\n  ${lines}\n`)}
    `,
  );
}

/**
 * One key of one type: three types took eight seconds under emulation, and no client of this decade lacks Ed25519.
 * Written aside and renamed, so that a power cut does not leave half a key.
 */
function hostKeyUnit(hostKey: string) {
  return unit({
    name: "ssh-host-key.service",
    text: text`
      [Unit]
      Description=SSH host key of this machine
      RequiresMountsFor=${hostKey.slice(0, hostKey.lastIndexOf("/")) || "/"}
      ConditionPathExists=!${hostKey}
      Before=ssh.service

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      UMask=0077
      ExecStart=/bin/sh -c 'rm -f "$1.new" "$1.new.pub" && ssh-keygen -q -t ed25519 -N "" -C "" -f "$1.new" && chmod 644 "$1.new.pub" && mv "$1.new.pub" "$1.pub" && sync "$1.new" && mv "$1.new" "$1"' sh ${hostKey}
    `,
  });
}
