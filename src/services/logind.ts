import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { type PamRule, pam } from "../system/essential-login.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";

export interface LogindOptions {
  readonly killUserProcesses?: boolean;
  readonly powerKey?: "poweroff" | "reboot" | "ignore";
  readonly runtimeDirectorySize?: string;
}

/** Sessions of people who are logged in, and the power button. */
export const logind = serviceType<LogindOptions>({
  name: "logind",
  description: "systemd-logind: sessions, their processes and run-time folders; answers the power button.",
  options: {
    killUserProcesses: "Whether what a person left running ends with the last session.",
    powerKey: "What the power button does; hypervisors press it for an orderly shutdown without guest agent.",
    runtimeDirectorySize: "Size of each person's folder below /run/user: 10%, 512M.",
  },
  defaults: { killUserProcesses: false, powerKey: "poweroff", runtimeDirectorySize: "10%" },
  extensions: [
    extend(profile, () => ["libpam-systemd", "dbus"]),
    extend(etcFiles, ({ killUserProcesses, powerKey, runtimeDirectorySize }) => [
      etcFile(
        "/etc/systemd/logind.conf.d/meso.conf",
        text`
          [Login]
          KillUserProcesses=${killUserProcesses ? "yes" : "no"}
          HandlePowerKey=${powerKey}
          RuntimeDirectorySize=${runtimeDirectorySize}
        `,
      ),
    ]),
    // As Debian's profile for pam-auth-update has it: interactive sessions only, after everything else.
    extend(pam, () => [sessionRule]),
    extend(checks, () => [unitActive("systemd-logind.service")]),
  ],
});

const sessionRule: PamRule = {
  stack: "session",
  block: "additional",
  priority: 0,
  control: "optional",
  module: "pam_systemd.so",
};
