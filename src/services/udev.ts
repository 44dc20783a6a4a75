import { extend, serviceType } from "../language/service-type.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";

export interface UdevOptions {
  readonly rules?: readonly string[];
}

/** Names, permissions and drivers of devices. */
export const udev = serviceType<UdevOptions>({
  name: "udev",
  description: "systemd-udevd: loads drivers for devices, names them and sets their permissions.",
  options: { rules: "Lines of udev(7), read before those of packages that start with 60 and above." },
  defaults: { rules: [] },
  extensions: [
    extend(profile, () => ["udev"]),
    extend(etcFiles, ({ rules }) =>
      rules.length > 0 ? [etcFile("/etc/udev/rules.d/59-meso.rules", `${rules.join("\n")}\n`)] : [],
    ),
    extend(checks, () => [unitActive("systemd-udevd.service")]),
  ],
});
