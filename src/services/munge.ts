import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { sbin, text } from "../language/text.ts";
import { tmpfiles } from "../system/essential-boot.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { checks, commandSucceeds, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

export interface MungeOptions {
  readonly key: Secret;
  readonly socketBacklog?: number;
  readonly threads?: number;
  readonly units?: readonly string[];
}

/** Who somebody is on one machine, believed by all that have the same key: what Slurm trusts. */
export const munge = serviceType<MungeOptions, readonly string[]>({
  name: "munge",
  description: "Tells machines that share a key who sends a message: what Slurm's programs know each other by.",
  options: {
    key: "The key, the same on all machines that believe each other: 32 to 1024 bytes, not ending in a line break.",
    socketBacklog: "Local programs that may wait for it at once.",
    threads: "Requests that are worked on at once.",
    units: "What starts after it, as other services say.",
  },
  defaults: { socketBacklog: 256, threads: 2, units: [] },
  extend: (options, received) => ({
    ...options,
    units: [...options.units, ...received.flatMap(({ value }) => value)],
  }),
  extensions: [
    extend(profile, () => ["munge"]),
    extend(secretFiles, ({ key }) => [
      // It reads no credential of systemd: the key must be its own, and nobody else's by an access list either.
      secretFile({
        ...{ path: keyPath, content: "@KEY@", secrets: { KEY: key } },
        ...{ mode: 0o400, user: "munge", units: ["munge.service"] },
      }),
    ]),
    // munged(8) refuses to start when folders of its files belong to others.
    extend(tmpfiles, () => ["d /var/lib/munge 0711 munge munge -", "d /var/log/munge 0700 munge munge -"]),
    extend(systemdUnits, ({ threads, socketBacklog, units }) => [
      enableUnit("munge.service"),
      ...units.map((name) =>
        dropIn(name, "meso-munge", { text: text`[Unit]\nWants=munge.service\nAfter=munge.service\n` }),
      ),
      dropIn("munge.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${sbin("munge", "munged")} --syslog --key-file=${keyPath} --num-threads=${threads} --listen-backlog=${socketBacklog}
        `,
      }),
    ]),
    extend(checks, () => [unitActive("munge.service"), commandSucceeds("sh", "-c", "munge --no-input | unmunge")]),
  ],
});

const keyPath = "/run/munge-key/munge.key";
