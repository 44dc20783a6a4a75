import { extend, serviceType } from "../language/service-type.ts";
import { sbin, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds, profile } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";

export interface LvmOptions {
  readonly groups?: readonly string[];
  readonly settings?: Readonly<Record<string, string | number | readonly string[]>>;
}

/** Logical volumes on disks that were prepared by hand; those of a state disk come by themselves. */
export const lvm = serviceType<LvmOptions>({
  name: "lvm",
  description: "Volume groups of LVM2, activated when their disks appear.",
  options: {
    groups: "Volume groups that must be there, and complete, for the machine to be healthy.",
    settings: 'What differs from lvm.conf(5): { "devices/global_filter": ["r|^/dev/rbd|"] }.',
  },
  defaults: { groups: [], settings: {} },
  validate: ({ groups, settings }) => [
    ...groups
      .filter((name) => !/^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*$/.test(name))
      .map((name) => ({ code: "wrong-name", field: "groups", what: `found ${JSON.stringify(name)}` })),
    ...Object.keys(settings)
      .filter((name) => !/^[a-z_]+\/[a-z0-9_]+$/.test(name))
      .map((name) => ({
        ...{ code: "wrong-name", field: "settings", what: `found ${JSON.stringify(name)}` },
        expected: "section/name: devices/global_filter",
      })),
  ],
  extensions: [
    extend(profile, () => ["lvm2"]),
    // The package's own holds comments only; lvm takes no file that a comment is all of but that one.
    extend(etcFiles, ({ settings }) =>
      Object.keys(settings).length === 0
        ? []
        : [etcFile("/etc/lvm/lvmlocal.conf", lvmConf(settings), { replacesPackageFile: true })],
    ),
    extend(systemdUnits, () => [enableUnit("lvm2-monitor.service"), enableUnit("lvm2-lvmpolld.socket")]),
    extend(configurationChecks, () => [
      { name: "lvmconfig", program: sbin("lvm2", "lvmconfig"), arguments: ["--validate"], reads: ["/etc/lvm"] },
    ]),
    extend(checks, ({ groups }) =>
      groups.map((name) =>
        commandSucceeds("sh", "-c", `vgs --noheadings --options vg_missing_pv_count ${name} | grep -qx ' *0'`),
      ),
    ),
  ],
});

function lvmConf(settings: Required<LvmOptions>["settings"]): Text {
  const lines = Object.entries(settings)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} = ${literal(value)}`);
  return text`# Beside lvm.conf, and stronger.\n${lines}\n`;
}

function literal(value: string | number | readonly string[]): string {
  if (typeof value === "number") return String(value);
  return typeof value === "string"
    ? JSON.stringify(value)
    : `[ ${value.map((one) => JSON.stringify(one)).join(", ")} ]`;
}
