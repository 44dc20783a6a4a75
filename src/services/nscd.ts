import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

const databases = ["passwd", "group", "hosts", "services", "netgroup"] as const;

export interface NscdOptions {
  readonly remembers?: readonly (typeof databases)[number][];
  readonly seconds?: number;
  readonly secondsUnknown?: number;
}

/** Remembers who people are, so that not every `ls -l` asks the directory. */
export const nscd = serviceType<NscdOptions>({
  name: "nscd",
  description: "Remembers names of people, groups and hosts that were looked up (nscd). sssd has a memory of its own.",
  options: {
    remembers: "What is remembered: passwd, group, hosts, services, netgroup.",
    seconds: "How long, in seconds.",
    secondsUnknown: "How long it is remembered that there is no such name.",
  },
  defaults: { remembers: ["passwd", "group"], seconds: 600, secondsUnknown: 20 },
  validate: ({ remembers, seconds, secondsUnknown }) => [
    ...remembers
      .filter((name) => !databases.includes(name))
      .map((name) => ({
        ...{ code: "wrong-value", field: "remembers", what: `found ${JSON.stringify(name)}` },
        expected: databases.join(", "),
      })),
    ...Object.entries({ seconds, secondsUnknown })
      .filter(([, value]) => !Number.isInteger(value) || value < 0)
      .map(([field, value]) => ({ code: "wrong-value", field, what: `found ${value}`, expected: "a whole number" })),
  ],
  extensions: [
    extend(profile, () => ["nscd"]),
    extend(systemdUnits, (options) => [
      enableUnit("nscd.service"),
      dropIn("nscd.service", "meso", {
        text: text`[Service]\nExecStart=\nExecStart=${sbin("nscd", "nscd")} -f ${nscdConf(options)}\n`,
      }),
    ]),
    extend(checks, () => [unitActive("nscd.service")]),
  ],
});

function nscdConf({ remembers, seconds, secondsUnknown }: Required<NscdOptions>): GeneratedFile {
  return textFile(
    "nscd.conf",
    text`
      paranoia no
      ${databases.flatMap((name) => {
        if (!remembers.includes(name)) return [`enable-cache ${name} no`];
        return [
          `enable-cache ${name} yes`,
          `positive-time-to-live ${name} ${seconds}`,
          `negative-time-to-live ${name} ${secondsUnknown}`,
          `suggested-size ${name} 211`,
          `check-files ${name} yes`,
          `persistent ${name} no`,
          `shared ${name} yes`,
          `max-db-size ${name} 33554432`,
        ];
      })}
    `,
  );
}
