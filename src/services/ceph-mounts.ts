import { isIP } from "node:net";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, text } from "../language/text.ts";
import { kernelModules } from "../system/essential-boot.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { systemdUnits, type UnitWish, unit } from "../system/essential-units.ts";
import { mountUnitName, mountUnits } from "./mount-units.ts";

/** A folder of a CephFS, and where it appears. */
export interface CephFolder {
  /** Of the file system: `/homes`. */
  readonly path: string;
  readonly at: string;
  /** Name of the file system, where the cluster has several. */
  readonly fileSystem?: string;
  /** Further options of mount.ceph(8). */
  readonly options?: readonly string[];
  /** Mounted when somebody looks, and away after 10 minutes of rest. Default: at boot. */
  readonly onDemand?: boolean;
}

/** An RBD image that this machine alone uses, and where its file system appears. */
export interface CephImage {
  readonly pool: string;
  readonly image: string;
  /** Mount point; without it, only the device `/dev/rbd/<pool>/<image>` is there. */
  readonly at?: string;
  /** Default `ext4`. It is never formatted here. */
  readonly type?: "ext4" | "xfs";
}

export interface CephMountsOptions {
  readonly clusterId: string;
  readonly monitors: readonly string[];
  readonly user: string;
  readonly key: Secret;
  readonly folders?: readonly CephFolder[];
  readonly images?: readonly CephImage[];
}

/** What a Ceph cluster holds, on a machine that is a client of it. */
export const cephMounts = serviceType<CephMountsOptions>({
  name: "ceph-mounts",
  description: "Folders of a CephFS and RBD images of a Ceph cluster, mounted by the kernel.",
  options: {
    clusterId: "The cluster's fsid, as ceph fsid says it.",
    monitors: "Addresses of monitors; with a port where it is not the usual one: 10.0.0.1:3300.",
    user: "The client's name without the client. before it.",
    key: "Its key, as ceph auth get-key says it.",
    folders: "Folders of CephFS.",
    images: "RBD images; each should be used by one machine at a time.",
  },
  defaults: { folders: [], images: [] },
  validate: ({ clusterId, monitors, user, folders, images }) => [
    ...(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(clusterId)
      ? []
      : [{ code: "wrong-value", field: "clusterId", what: `found ${JSON.stringify(clusterId)}`, expected: "a UUID" }]),
    ...(monitors.length > 0 ? [] : [{ code: "missing-field", field: "monitors", what: "no monitor is named" }]),
    ...monitors
      .filter((monitor) => isIP(monitor.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")) === 0 && isIP(monitor) === 0)
      .map((monitor) => ({
        ...{ code: "wrong-address", field: "monitors", what: `found ${JSON.stringify(monitor)}` },
        expected: "an address: 10.0.0.1, 10.0.0.1:3300, [2001:db8::1]:3300",
      })),
    ...[user, ...images.flatMap(({ pool, image }) => [pool, image])]
      .filter((name) => !/^[A-Za-z0-9_.-]+$/.test(name))
      .map((name) => ({ code: "wrong-name", field: "images", what: `found ${JSON.stringify(name)}` })),
    ...[...folders.flatMap(({ path, at }) => [path, at]), ...images.flatMap(({ at }) => (at === undefined ? [] : [at]))]
      .filter((path) => !(path === "/" || isNormalAbsolutePath(path)) || /[\s,]/.test(path))
      .map((path) => ({
        ...{ code: "wrong-path", field: "folders", what: `found ${JSON.stringify(path)}` },
        expected: "an absolute path without spaces and commas",
      })),
  ],
  extensions: [
    extend(profile, ({ images }) => [
      "ceph-common",
      ...(images.some(({ at, type = "ext4" }) => at !== undefined && type === "ext4") ? ["e2fsprogs"] : []),
      ...(images.some(({ at, type }) => at !== undefined && type === "xfs") ? ["xfsprogs"] : []),
    ]),
    extend(etcFiles, ({ clusterId, monitors, user }) => [
      etcFile(
        "/etc/ceph/ceph.conf",
        `[global]\nfsid = ${clusterId}\nmon_host = ${monitors.join(",")}\nkeyring = ${keyring}\n\n[client]\nname = client.${user}\n`,
      ),
    ]),
    extend(kernelModules, ({ folders, images }) => [
      ...(folders.length > 0 ? ["ceph"] : []),
      ...(images.length > 0 ? ["rbd"] : []),
    ]),
    extend(secretFiles, ({ user, key, folders, images }) => {
      const units = [...folders.map(({ at }) => mountUnitName(at, "mount")), ...images.map(mapUnit)];
      const secrets = { KEY: key };
      return units.length === 0
        ? []
        : [
            secretFile({ path: keyring, content: `[client.${user}]\n\tkey = @KEY@\n`, secrets, units }),
            secretFile({ path: keyFile, content: "@KEY@\n", secrets, units }),
          ];
    }),
    extend(systemdUnits, (options) => [
      ...options.folders.flatMap((folder) => folderUnits(options, folder)),
      ...options.images.flatMap((image) => imageUnits(options, image)),
    ]),
    extend(checks, ({ folders, images }) => [
      ...folders.map(({ at, onDemand }) => unitActive(mountUnitName(at, onDemand ? "automount" : "mount"))),
      ...images.map((image) => unitActive(mapUnit(image))),
      ...images.flatMap(({ at }) => (at === undefined ? [] : [unitActive(mountUnitName(at, "mount"))])),
    ]),
  ],
});

const keyring = "/run/ceph-client/keyring";
const keyFile = "/run/ceph-client/key";

function mapUnit({ pool, image }: CephImage): string {
  return `rbd-${pool}-${image}.service`;
}

function folderUnits({ monitors, user }: CephMountsOptions, folder: CephFolder): UnitWish[] {
  const { path, at, fileSystem, options = [], onDemand = false } = folder;
  const words = [
    `name=${user}`,
    `secretfile=${keyFile}`,
    ...(fileSystem === undefined ? [] : [`mds_namespace=${fileSystem}`]),
  ];
  return mountUnits({
    ...{ what: `${monitors.join(",")}:${path}`, where: at, type: "ceph", onDemand },
    options: [...words, ...options],
  });
}

/** Mapped with the exclusive lock, so that a second machine that maps it too does not write into it. */
function imageUnits({ user }: CephMountsOptions, image: CephImage): UnitWish[] {
  const { pool, image: name, at, type = "ext4" } = image;
  const device = `/dev/rbd/${pool}/${name}`;
  const rbd = bin("ceph-common", "rbd");
  const map = unit({
    name: mapUnit(image),
    text: text`
      [Unit]
      Description=RBD image ${pool}/${name}
      Wants=network-online.target
      After=network-online.target systemd-udevd.service
      Before=remote-fs-pre.target
      Wants=remote-fs-pre.target

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      TimeoutStartSec=infinity
      ExecStart=${rbd} device map --id ${user} --keyring ${keyring} --exclusive ${pool}/${name}
      ExecStartPost=udevadm settle
      ExecStop=${rbd} device unmap ${device}

      [Install]
      WantedBy=remote-fs.target
    `,
  });
  if (at === undefined) return [map];
  const mount = mountUnits({
    ...{ what: device, where: at, type, options: ["noatime"], onDemand: false, after: [mapUnit(image)] },
  });
  return [map, ...mount];
}
