import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, type Content, programFile, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials } from "../system/essential-credentials.ts";
import { checks, unitActive } from "../system/essential-profile.ts";
import { systemdUnits, unit } from "../system/essential-units.ts";
import { state, stateFolder } from "./state.ts";

export interface TimerOptions {
  readonly name: string;
  readonly onCalendar: string | readonly string[];
  readonly command: Content;
  readonly user?: string;
  readonly spread?: string;
  readonly catchUp?: boolean;
  readonly longest?: string;
  readonly secrets?: readonly Secret[];
}

/** Something that happens again and again: `timer({ name: "mirror", onCalendar: "02:30", command: "rsync …" })`. */
export const timer = serviceType<TimerOptions>({
  name: "timer",
  description: "Runs a piece of shell at certain times, by systemd; what it says is in the journal of its unit.",
  options: {
    name: "Of the units, NAME.timer and NAME.service.",
    onCalendar: "When, in the words of systemd.time(7): daily, Mon 03:00, *:0/5.",
    command: "Shell; the first command that fails ends it, and fails the unit.",
    user: "Who runs it.",
    spread: "It begins at some moment within so long after its time, on each machine at another: 10min.",
    catchUp: "Whether a time that the machine was off is made good when it is on again; needs a state that lasts.",
    longest: "It is ended when it takes longer: 1h, infinity.",
    secrets: "Secrets that it reads, below $CREDENTIALS_DIRECTORY.",
  },
  defaults: { user: "root", spread: "0", catchUp: false, longest: "1h", secrets: [] },
  instanceName: ({ name }) => name,
  validate: ({ name }) =>
    /^[a-z][a-z0-9-]*$/.test(name)
      ? []
      : [
          {
            ...{ code: "wrong-name", field: "name", what: `found ${JSON.stringify(name)}` },
            expected: "lower-case letters, digits and -",
          },
        ],
  extensions: [
    extend(credentials, ({ name, secrets }) => secrets.map((secret) => ({ secret, units: [`${name}.service`] }))),
    extend(systemdUnits, ({ name, onCalendar, command, user, spread, catchUp, longest }) => [
      unit({
        name: `${name}.timer`,
        text: text`
          [Unit]
          Description=Times of ${name}

          [Timer]
          ${[onCalendar].flat().map((when) => `OnCalendar=${when}`)}
          RandomizedDelaySec=${spread}
          FixedRandomDelay=yes
          AccuracySec=1s
          Persistent=${catchUp ? "yes" : "no"}

          [Install]
          WantedBy=timers.target
        `,
      }),
      unit({
        name: `${name}.service`,
        text: text`
          [Unit]
          Description=${name}
          Wants=network-online.target
          After=network-online.target
          # Its times say how often.
          StartLimitIntervalSec=0

          [Service]
          Type=oneshot
          User=${user}
          TimeoutStartSec=${longest}
          ExecStart=${programFile(name, text`#!/bin/sh\nset -eu\n${command}\n`)}
        `,
      }),
    ]),
    // When it last ran.
    extend(state, ({ name, catchUp }) =>
      catchUp ? [stateFolder("/var/lib/systemd/timers", { units: [`${name}.timer`] })] : [],
    ),
    extend(configurationChecks, ({ name, onCalendar, command }) => [
      {
        name: "systemd-analyze",
        program: bin("systemd", "systemd-analyze"),
        arguments: ["calendar", ...[onCalendar].flat()],
      },
      {
        name: "sh",
        program: bin("dash", "sh"),
        arguments: ["-n", programFile(name, text`#!/bin/sh\nset -eu\n${command}\n`)],
      },
    ]),
    extend(checks, ({ name }) => [unitActive(`${name}.timer`)]),
  ],
});
