import { failure } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { parseSize } from "../base/size.ts";
import type { Complaint } from "../language/complaint.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import { inheritAt } from "../language/inherit.ts";
import { modify, modifyServices } from "../language/modify-services.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { kernelArguments, tmpfiles } from "../system/essential-boot.ts";
import { profile } from "../system/essential-profile.ts";
import { systemdUnits } from "../system/essential-units.ts";
import { stateUnits } from "./state-units.ts";

/** A folder whose contents must outlive the root file system, made by `stateFolder`. */
export interface StateFolder {
  readonly path: string;
  readonly user: string;
  readonly group: string;
  readonly mode: number;
  /** Units that must not start without it. */
  readonly units: readonly string[];
}

/** A logical volume of the state disk. */
export interface StateVolume {
  /** `"20GiB"`. Declared larger, it grows at the next boot; it never shrinks. */
  readonly size: string;
  /** Default: ext4. */
  readonly fileSystem?: "ext4" | "xfs";
  readonly mountPoint: string;
}

export interface StateOptions {
  readonly folders?: readonly StateFolder[];
  readonly disk?: string;
  readonly size?: string;
  readonly fileSystem?: "ext4" | "xfs";
  readonly volumes?: Readonly<Record<string, StateVolume>>;
}

/** What of a machine must last. Without a state disk such folders lie in the root file system, and go with it. */
export const state = serviceType<StateOptions, readonly StateFolder[]>({
  name: "state",
  description:
    "Folders that outlive the root file system, on a disk of their own; services say which. With a disk, the machine's identity (SSH host keys, machine-id) lasts too.",
  options: {
    folders: "What services of the system keep.",
    disk: 'Serial of the disk that becomes LVM2 volumes at the first boot: the name of the machine\'s volume in the centre. "" means none.',
    size: "Of the volume that holds the folders; declared larger, it grows at the next boot.",
    fileSystem: "Of that volume: ext4 or xfs.",
    volumes:
      "Further volumes of the disk by name, with places of their own; folders of services below such a place lie there.",
  },
  defaults: { folders: [], disk: "", size: "1GiB", fileSystem: "ext4", volumes: {} },
  validate: (options) => stateMistakes(options),
  extend: (options, received) => ({ ...options, folders: merged([...here(options.folders), ...received]) }),
  extensions: [
    extend(tmpfiles, ({ folders }) =>
      folders.map(({ path, mode, user, group }) => `d ${path} ${mode.toString(8).padStart(4, "0")} ${user} ${group} -`),
    ),
    extend(systemdUnits, (options) => (options.disk === "" ? [] : stateUnits(options))),
    // The initial RAM disk looks there for the machine-id.
    extend(kernelArguments, ({ disk }) => (disk === "" ? [] : [`meso.state=${disk}`])),
    extend(profile, ({ disk, fileSystem, volumes }) => {
      const types = new Set([fileSystem, ...Object.values(volumes).map(({ fileSystem: type = "ext4" }) => type)]);
      return disk === "" ? [] : ["lvm2", "e2fsprogs", ...(types.has("xfs") ? ["xfsprogs"] : [])];
    }),
  ],
});

/**
 * A folder that a service keeps, root's and 0755 unless said: `stateFolder("/var/lib/mysql", { user: "mysql", mode:
 * 0o700, units: ["mariadb.service"] })`.
 */
export function stateFolder(
  path: string,
  { user = "root", group = user, mode = 0o755, units = [] }: Partial<Omit<StateFolder, "path">> = {},
): StateFolder {
  return { path, user, group, mode, units };
}

/**
 * The system with a second disk that lasts: `pipe(os, withStateVolume({ size: "4GiB" }))`. The machine in the centre has
 * a volume of the same name: `volumes: { state: volume({ size: "10GiB" }) }`.
 */
export function withStateVolume(options: Omit<StateOptions, "folders"> = {}): (os: OperatingSystem) => OperatingSystem {
  const where = callerLocation(withStateVolume);
  const given = { disk: "state", ...options };
  return (os) =>
    inheritAt(
      os,
      (old: OperatingSystem) => ({
        services: old.services.some(({ type }) => type === state)
          ? modifyServices(old.services, modify(state, given))
          : [...old.services, state(given)],
      }),
      where,
    );
}

function here(folders: readonly StateFolder[]): Pick<Received<readonly StateFolder[]>, "value">[] {
  return [{ value: folders }];
}

/** Each path once, with the units of all who keep it, parents first. */
function merged(received: readonly Pick<Received<readonly StateFolder[]>, "value">[]): StateFolder[] {
  const byPath = new Map<string, StateFolder>();
  for (const folder of received.flatMap(({ value }) => value)) {
    if (!isPlainPath(folder.path)) {
      throw failure("wrong-path", `found the state folder ${JSON.stringify(folder.path)}`, {
        expected: "an absolute path of letters, digits and . _ -",
      });
    }
    const known = byPath.get(folder.path);
    if (known && attributesOf(known) !== attributesOf(folder)) {
      throw failure("conflicting-values", `the state folder ${folder.path} is wanted in two ways`, {
        expected: attributesOf(known),
        hint: "make both the same, or take one away",
      });
    }
    const units = [...new Set([...(known?.units ?? []), ...folder.units])].sort();
    byPath.set(folder.path, { ...folder, units });
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function attributesOf({ user, group, mode }: StateFolder): string {
  return `${user}:${group} ${mode.toString(8).padStart(4, "0")}`;
}

/** What can stand in commands and in unit files as it is. */
function isPlainPath(path: string): boolean {
  return isNormalAbsolutePath(path) && path !== "/" && /^[A-Za-z0-9/._-]+$/.test(path);
}

function stateMistakes({ disk, size, fileSystem, volumes }: Required<StateOptions>): Complaint[] {
  const isSerial = disk === "" || /^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/.test(disk);
  const places = new Set(["/var/lib/meso"]);
  return [
    ...(isSerial ? [] : [{ code: "wrong-name", field: "disk", what: `found ${disk}`, expected: "a volume's name" }]),
    ...sizeMistakes("size", size),
    ...typeMistakes("fileSystem", fileSystem),
    ...Object.entries(volumes).flatMap(([name, { size: own, fileSystem: type = "ext4", mountPoint }]) => {
      const field = `volumes.${name}`;
      const isName = /^[a-z][a-z0-9_]{0,30}$/.test(name) && name !== "state";
      const isFree = isPlainPath(mountPoint) && !places.has(mountPoint);
      places.add(mountPoint);
      return [
        ...(isName
          ? []
          : [{ code: "wrong-name", field, what: `found ${name}`, expected: "small letters, digits and _; not state" }]),
        ...(isFree
          ? []
          : [{ code: "wrong-path", field, what: `found ${mountPoint}`, expected: "a path that no other volume has" }]),
        ...sizeMistakes(field, own),
        ...typeMistakes(field, type),
      ];
    }),
  ];
}

function sizeMistakes(field: string, size: string): Complaint[] {
  const expected = 'a size of 16 MiB or more: "4GiB"';
  try {
    return parseSize(size) >= 16 * 2 ** 20 ? [] : [{ code: "wrong-value", field, what: `found ${size}`, expected }];
  } catch {
    return [{ code: "wrong-value", field, what: `found ${JSON.stringify(size)}`, expected }];
  }
}

function typeMistakes(field: string, type: string): Complaint[] {
  return ["ext4", "xfs"].includes(type)
    ? []
    : [{ code: "wrong-value", field, what: `found ${type}`, expected: "ext4 or xfs" }];
}
