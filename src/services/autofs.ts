import type { Complaint } from "../language/complaint.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

/** Folders that appear below one when somebody looks. */
export interface AutofsMap {
  /** `/home`; `"/-"` for entries whose keys are whole paths. */
  readonly mountPoint: string;
  readonly entries: readonly AutofsEntry[];
  /** Seconds of rest after which a folder goes away again. */
  readonly timeout?: number;
  /** Whether names show that are not mounted yet. */
  readonly browse?: boolean;
}

export interface AutofsEntry {
  /** A name below the mount point, or `"*"` for all. */
  readonly key: string;
  /** `nfs.example.org:/srv/home/&`, where `&` stands for the key. */
  readonly location: string;
  /** Options of mount(8): `["fstype=nfs4", "rw"]`. */
  readonly options?: readonly string[];
}

export interface AutofsOptions {
  readonly maps: readonly AutofsMap[];
  readonly timeout?: number;
  readonly packages?: readonly string[];
}

/** Folders of other machines that appear when somebody looks: homes. */
export const autofs = serviceType<AutofsOptions>({
  name: "autofs",
  description: "Mounts folders of servers when somebody looks at them, by tables of names: homes of users.",
  options: {
    maps: "Where folders appear, and what each of them is.",
    timeout: "Seconds of rest after which a folder goes away again, where its map does not say.",
    packages: "What mounts them.",
  },
  defaults: { timeout: 300, packages: ["nfs-common"] },
  validate: ({ maps }) => mistakes(maps),
  extensions: [
    extend(profile, ({ packages }) => ["autofs", ...packages]),
    extend(etcFiles, (options) => [
      etcFile("/etc/auto.master", masterMap(options), { replacesPackageFile: true }),
      etcFile("/etc/autofs.conf", autofsConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, (options) => [
      enableUnit("autofs.service"),
      dropIn("autofs.service", "meso", {
        text: text`
          [Service]
          Type=simple
          PIDFile=
          ExecStart=
          ExecStart=${sbin("autofs", "automount")} --foreground --dont-check-daemon ${masterMap(options)}
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "automount",
        program: sbin("autofs", "automount"),
        arguments: ["--dumpmaps", masterMap(options)],
        reads: ["/etc/autofs.conf"],
        loads: ["/usr/lib/{multiarch}/autofs"],
        asRoot: true,
      },
    ]),
    extend(checks, () => [unitActive("autofs.service")]),
  ],
});

function mistakes(maps: readonly AutofsMap[]): Complaint[] {
  return maps.flatMap(({ mountPoint, entries }) => [
    ...((isNormalAbsolutePath(mountPoint) || mountPoint === "/-") && !/\s/.test(mountPoint)
      ? []
      : [
          {
            ...{ code: "wrong-path", field: "maps", what: `found ${JSON.stringify(mountPoint)}` },
            expected: 'an absolute path without spaces, or "/-"',
          },
        ]),
    ...entries
      .filter(({ key }) => (mountPoint === "/-" ? !isNormalAbsolutePath(key) : !/^(\*|[^\s/#]+)$/.test(key)))
      .map(({ key }) => ({
        ...{ code: "wrong-name", field: "maps", what: `found the key ${JSON.stringify(key)} in ${mountPoint}` },
        expected: mountPoint === "/-" ? "an absolute path" : 'a name, or "*"',
      })),
    ...entries
      .filter(({ location }) => !/^\S*:\/\S*$/.test(location))
      .map(({ key, location }) => ({
        ...{ code: "wrong-value", field: "maps", what: `${mountPoint}, ${key} lies at ${JSON.stringify(location)}` },
        expected: "server:/path, or :/path for a device of the machine",
      })),
  ]);
}

function masterMap({ maps, timeout }: Required<AutofsOptions>): GeneratedFile {
  const lines = maps.map((map) => {
    const options = [`--timeout=${map.timeout ?? timeout}`, map.browse ? "browse" : "nobrowse"].join(" ");
    return text`${map.mountPoint} file:${mapFile(map)} ${options}`;
  });
  return textFile("auto.master", text`${lines}\n`);
}

function mapFile({ mountPoint, entries }: AutofsMap): GeneratedFile {
  const name = `auto${mountPoint === "/-" ? ".direct" : mountPoint.replaceAll("/", ".")}`;
  const lines = entries.map(
    ({ key, options = ["fstype=nfs4"], location }) => `${key} -${options.join(",")} ${location}\n`,
  );
  return textFile(name, lines.join(""));
}

function autofsConf({ timeout }: Required<AutofsOptions>): string {
  return `[autofs]\ntimeout = ${timeout}\nbrowse_mode = no\nmount_nfs_default_protocol = 4\n`;
}
