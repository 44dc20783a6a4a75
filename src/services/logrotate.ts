import { extend, type Received, serviceType } from "../language/service-type.ts";
import { type Content, sbin, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";
import { state, stateFolder } from "./state.ts";

const frequencies = ["hourly", "daily", "weekly", "monthly", "yearly"] as const;

/** Files that are put aside when they are old or large. */
export interface LogRotation {
  /** Of the rule; a file of /etc/logrotate.d. */
  readonly name: string;
  /** Paths; `*` stands for anything: `/var/log/slurm/*.log`. */
  readonly files: readonly string[];
  readonly frequency?: (typeof frequencies)[number];
  /** How many old ones are kept. */
  readonly keep?: number;
  /** Put aside before its time when it is larger: `100M`. */
  readonly maximumSize?: string;
  readonly compress?: boolean;
  /** For programs that cannot be told to open their file anew; what is written meanwhile may be lost. */
  readonly copy?: boolean;
  /** Who writes, where that is not root: `slurm`. */
  readonly user?: string;
  readonly group?: string;
  /** Shell that tells the program to open its file anew. */
  readonly afterwards?: Content;
}

export interface LogrotateOptions {
  readonly rotations?: readonly LogRotation[];
}

/** Logs that do not grow for ever. Services may send rotations of their own. */
export const logrotate = serviceType<LogrotateOptions, readonly LogRotation[]>({
  name: "logrotate",
  description:
    "Puts aside log files that are old or large, and removes the oldest, beside what packages say of their own.",
  options: { rotations: "Which files, how often, how many are kept, and who is told." },
  defaults: { rotations: [] },
  extend: (options, received: readonly Received<readonly LogRotation[]>[]) => ({
    rotations: [...options.rotations, ...received.flatMap(({ value }) => value)],
  }),
  validate: ({ rotations }) => [
    ...rotations
      .filter(({ name }) => !/^[a-z0-9][a-z0-9-]*$/.test(name))
      .map(({ name }) => ({
        ...{ code: "wrong-name", field: "rotations", what: `found ${JSON.stringify(name)}` },
        expected: "lower-case letters, digits and -",
      })),
    ...rotations
      .flatMap(({ files }) => (files.length === 0 ? ["nothing"] : files))
      .filter((path) => !/^\/[^\s"{}]+$/.test(path))
      .map((path) => ({
        ...{ code: "wrong-path", field: "rotations", what: `found ${path}`, expected: "absolute paths" },
      })),
  ],
  extensions: [
    extend(profile, () => ["logrotate"]),
    // When each file was last put aside.
    extend(state, () => [stateFolder("/var/lib/logrotate", { units: ["logrotate.service"] })]),
    extend(etcFiles, ({ rotations }) =>
      // Its files must be root's and writable by nobody else, which links into the store are not known to be.
      rotations.map((rotation) =>
        etcFile(`/etc/logrotate.d/meso-${rotation.name}`, rotationText(rotation), { mode: 0o644 }),
      ),
    ),
    extend(systemdUnits, () => [enableUnit("logrotate.timer")]),
    extend(configurationChecks, ({ rotations }) =>
      rotations.map(({ name }) => ({
        name: "logrotate",
        program: sbin("logrotate", "logrotate"),
        arguments: ["--debug", `/etc/logrotate.d/meso-${name}`],
        reads: [`/etc/logrotate.d/meso-${name}`],
        folders: ["/var/lib/logrotate"],
        asRoot: true,
      })),
    ),
    extend(checks, () => [unitActive("logrotate.timer")]),
  ],
});

function rotationText(rotation: LogRotation): Text {
  const { files, frequency = "weekly", keep = 4, maximumSize, compress = true, copy = false, afterwards } = rotation;
  const { user, group = user } = rotation;
  return text`
    ${files.join(" ")} {
      ${user === undefined ? "" : `su ${user} ${group}`}
      ${frequency}
      rotate ${keep}
      ${maximumSize === undefined ? "" : `maxsize ${maximumSize}`}
      missingok
      notifempty
      ${compress ? "compress\ndelaycompress" : "nocompress"}
      ${copy ? "copytruncate" : ""}
      ${afterwards === undefined ? "" : text`sharedscripts\npostrotate\n  ${afterwards}\nendscript`}
    }
  `;
}
