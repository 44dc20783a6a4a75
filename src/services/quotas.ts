import { failure } from "../base/error.ts";
import { parseSize } from "../base/size.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, programFile, sbin, type Text, text } from "../language/text.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { maskUnit, systemdUnits, unit } from "../system/essential-units.ts";

/** How much of a file system somebody may have. */
export interface QuotaLimit {
  /** A user or a group, by name. */
  readonly user?: string;
  readonly group?: string;
  readonly mountPoint: string;
  /** Never more: `"50GiB"`. */
  readonly space?: string;
  /** For a week more than this at most; default: as `space`. */
  readonly softSpace?: string;
  readonly files?: number;
  readonly softFiles?: number;
}

export interface QuotasOptions {
  readonly limits: readonly QuotaLimit[];
}

/** Limits for users and groups, on file systems that are mounted with `usrquota` or `grpquota`. */
export const quotas = serviceType<QuotasOptions>({
  name: "quotas",
  description: "Limits for what users and groups may have on a file system, mounted with usrquota or grpquota.",
  options: { limits: "Who may have how much, where. What is set by hand for others stays." },
  defaults: {},
  validate: ({ limits }) =>
    limits
      .filter(({ user, group }) => (user === undefined) === (group === undefined))
      .map(({ mountPoint }) => ({
        ...{ code: "missing-field", field: "limits", what: `a limit on ${mountPoint} is for nobody, or for two` },
        expected: "a user or a group",
      })),
  extensions: [
    extend(profile, () => ["quota"]),
    extend(systemdUnits, ({ limits }, os) => [
      // What systemd does where an option of a mount asks for it: it fails where nothing was counted yet.
      ...["systemd-quotacheck-root", "quotaon-root", "systemd-quotacheck@", "quotaon@"].map((name) =>
        maskUnit(`${name}.service`),
      ),
      unit({
        name: "quotas.service",
        text: text`
          [Unit]
          Description=Quotas of users and groups
          RequiresMountsFor=${[...new Set(limits.map(({ mountPoint }) => mountPoint))].sort().join(" ")}

          [Service]
          Type=oneshot
          RemainAfterExit=yes
          ExecStart=${program(limits, os)}

          [Install]
          WantedBy=multi-user.target
        `,
      }),
    ]),
    extend(checks, () => [unitActive("quotas.service")]),
  ],
});

type Kind = "user" | "group";

function program(limits: readonly QuotaLimit[], os: OperatingSystem): GeneratedFile {
  const kinds = new Map(
    limits.map((limit) => [`${kindOf(limit)} ${limit.mountPoint}`, [kindOf(limit), limit.mountPoint] as const]),
  );
  return programFile(
    "set-quotas",
    text`
      #!/bin/sh
      set -eu
      ${[...kinds.values()].map(([kind, mountPoint]) => switchOn(kind, mountPoint, os))}
      ${limits.map(setLimit)}
    `,
  );
}

function kindOf({ user }: QuotaLimit): Kind {
  return user === undefined ? "group" : "user";
}

/** XFS counts from the moment it is mounted; others count once, and go on from there. */
function switchOn(kind: Kind, mountPoint: string, { fileSystems }: OperatingSystem): Text {
  const known = fileSystems.find((one) => one.mountPoint === mountPoint);
  const options = kind === "user" ? ["usrquota", "uquota"] : ["grpquota", "gquota"];
  if (!known?.options.some((option) => options.includes(option))) {
    throw failure("no-quota", `${mountPoint} does not count what a ${kind} has`, {
      expected: `a file system of the system with the option ${options[0]}`,
    });
  }
  if (known.type === "xfs") return text``;
  const file = `${mountPoint.replace(/\/$/, "")}/aquota.${kind}`;
  return text`
    if ! ${sbin("quota", "quotaon")} --print-state --${kind} ${mountPoint} | grep -q ' is on'; then
      [ -e ${file} ] || ${sbin("quota", "quotacheck")} --create-files --no-remount --${kind} ${mountPoint}
      ${sbin("quota", "quotaon")} --${kind} ${mountPoint}
    fi
  `;
}

function setLimit({
  user,
  group,
  mountPoint,
  space,
  softSpace = space,
  files = 0,
  softFiles = files,
}: QuotaLimit): Text {
  const kibibytes = (size = "0") => Math.floor(parseSize(size) / 1024);
  const numbers = [kibibytes(softSpace), kibibytes(space), softFiles, files].join(" ");
  return text`${sbin("quota", "setquota")} ${user === undefined ? `--group ${group}` : `--user ${user}`} ${numbers} ${mountPoint}`;
}
