import { parseSize } from "../base/size.ts";
import { text } from "../language/text.ts";
import type { UnitWish } from "../system/essential-units.ts";
import { dropIn, unit } from "../system/essential-units.ts";
import type { StateFolder, StateOptions } from "./state.ts";
import { openVolume, prepareVolume } from "./state-programs.ts";

/** Where the volume is that holds the folders of services, and what the guest agent was given to keep. */
const keepingPlace = "/var/lib/meso";

interface Volume {
  readonly name: string;
  readonly bytes: number;
  readonly type: string;
  readonly place: string;
}

/**
 * From disk to services: each volume is prepared, mounted, opened; then its folders are bound to where services expect
 * them. Only wanted by local-fs.target: a disk that is missing or somebody else's holds up nobody but who needs it.
 */
export function stateUnits({ disk, size, fileSystem, volumes, folders }: Required<StateOptions>): UnitWish[] {
  const further = Object.entries(volumes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { size: own, fileSystem: type = "ext4", mountPoint }]) => volumeOf(name, own, type, mountPoint));
  const all = [volumeOf("state", size, fileSystem, keepingPlace), ...further];
  const bound = folders.filter(({ path }) => !further.some(({ place }) => isBelow(path, place)));
  return [
    ...all.flatMap((volume, index) => [
      preparing(disk, volume, all[index - 1]),
      mounting(disk, volume),
      opening(disk, volume, index === 0 ? bound : []),
    ]),
    ...bound.map(binding),
    ...requirements(folders),
  ];
}

/** Whole extents, which LVM would round up to. */
const extentBytes = 4 * 2 ** 20;

function volumeOf(name: string, size: string, type: string, place: string): Volume {
  return { name, bytes: Math.ceil(parseSize(size) / extentBytes) * extentBytes, type, place };
}

function isBelow(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`);
}

const prepared = ({ name }: Volume) => `meso-state-${name}.service`;
const opened = ({ name }: Volume) => `meso-state-${name}-open.service`;

/** One after the other, since they work on one disk. */
function preparing(disk: string, volume: Volume, previous: Volume | undefined): UnitWish {
  const { name, bytes, type } = volume;
  return unit({
    name: prepared(volume),
    text: text`
      [Unit]
      Description=Volume ${name} of the state disk ${disk}
      DefaultDependencies=no
      Wants=systemd-udevd.service
      After=systemd-udevd.service systemd-modules-load.service${previous ? ` ${prepared(previous)}` : ""}
      Before=shutdown.target
      Conflicts=shutdown.target

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      TimeoutStartSec=infinity
      ExecStart=${prepareVolume} ${disk} ${name} ${bytes} ${type}
    `,
  });
}

/**
 * By a link outside /dev: for a device, systemd would wait a minute and a half from the start of the boot on, which is
 * too short for the check of a large file system, and too long when there is none.
 */
function mounting(disk: string, volume: Volume): UnitWish {
  return unit({
    name: mountUnit(volume.place),
    text: text`
      [Unit]
      Description=Volume ${volume.name} of the state disk ${disk} on ${volume.place}
      Requires=${prepared(volume)}
      After=${prepared(volume)}

      [Mount]
      What=/run/meso/state/${volume.name}
      Where=${volume.place}
      Type=${volume.type}

      [Install]
      WantedBy=local-fs.target
    `,
  });
}

function opening(disk: string, volume: Volume, folders: readonly StateFolder[]): UnitWish {
  const words = folders.map(({ path }) => ` ${path}`).join("");
  return unit({
    name: opened(volume),
    text: text`
      [Unit]
      Description=Size and folders of the volume ${volume.name}
      DefaultDependencies=no
      RequiresMountsFor=${volume.place}
      Before=local-fs.target shutdown.target
      Conflicts=shutdown.target

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      ExecStart=${openVolume} /dev/meso-${disk}/${volume.name} ${volume.type} ${volume.place}${words}

      [Install]
      WantedBy=local-fs.target
    `,
  });
}

function binding({ path }: StateFolder): UnitWish {
  return unit({
    name: mountUnit(path),
    text: text`
      [Unit]
      Description=Kept folder ${path}
      Requires=meso-state-state-open.service
      After=meso-state-state-open.service

      [Mount]
      What=${keepingPlace}/folders${path}
      Where=${path}
      Type=none
      Options=bind

      [Install]
      WantedBy=local-fs.target
    `,
  });
}

function requirements(folders: readonly StateFolder[]): UnitWish[] {
  const needs = folders.flatMap(({ path, units }) => units.map((name) => ({ name, path })));
  return [...Map.groupBy(needs, ({ name }) => name)].map(([name, all]) =>
    dropIn(name, "meso-state", {
      sections: { Unit: { RequiresMountsFor: all.map(({ path }) => path).join(" ") } },
    }),
  );
}

/** systemd.unit(5), "string escaping for inclusion in unit names". */
export function mountUnit(path: string): string {
  const inner = path.replace(/^\/+|\/+$/g, "").replace(/[^A-Za-z0-9:_./]|^\./g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `${inner.replaceAll("/", "-")}.mount`;
}
