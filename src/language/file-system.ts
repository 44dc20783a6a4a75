import { aBoolean, aList, aString, aWord } from "./check.ts";
import type { Complaint } from "./complaint.ts";
import type { Device } from "./device.ts";
import { aDevice } from "./device.ts";
import type { RecordOf } from "./record.ts";
import { describe, recordType } from "./record.ts";

interface FileSystemFields {
  device: Device;
  /** Absolute path. */
  mountPoint: string;
  /** `erofs` on "/" is a read-only root under an overlay that is discarded at reboot. */
  type: FileSystemType;
  /** Mount options, one an item: `["nodev", "size=1g"]`. */
  options: readonly string[];
  /** Mounted by the initrd, before the system starts. Default: only "/" and "/usr". */
  neededForBoot: boolean;
  /** Checked at boot. Default: the types that have something to check. */
  check: boolean;
}

export type FileSystem = RecordOf<FileSystemFields, "device" | "mountPoint" | "type">;

export const fileSystemTypes = [
  ...["ext4", "ext3", "ext2", "xfs", "btrfs", "erofs", "squashfs", "vfat", "iso9660"],
  ...["tmpfs", "nfs", "nfs4", "cifs", "ceph", "fuse.ceph", "9p", "virtiofs", "overlay", "none"],
] as const;

export type FileSystemType = (typeof fileSystemTypes)[number];

/** A file system that is mounted in a running system. */
export const fileSystem = recordType<FileSystemFields, "device" | "mountPoint" | "type">({
  kind: "fileSystem",
  defaults: ({ mountPoint, type }) => ({
    options: [],
    neededForBoot: mountPoint === "/" || mountPoint === "/usr",
    check: ["ext2", "ext3", "ext4", "vfat"].includes(type),
  }),
  fields: {
    device: aDevice,
    mountPoint: aString("an absolute path without trailing slash, . or ..", isNormalAbsolutePath, "wrong-path"),
    type: aWord(fileSystemTypes),
    options: aList(aString("one mount option, without comma or space", (option) => /^[^\s,]+$/.test(option))),
    neededForBoot: aBoolean,
    check: aBoolean,
  },
  validate: ({ device, type }) => [...labelLength(device, type), ...deviceNeeded(device, type)],
});

/** What every machine mounts beside its disks: a /tmp in memory. Kernel file systems are systemd's business. */
export const baseFileSystems: readonly FileSystem[] = Object.freeze([
  fileSystem({
    device: "none",
    mountPoint: "/tmp",
    type: "tmpfs",
    options: ["mode=1777", "nosuid", "nodev", "size=50%"],
  }),
]);

export function isNormalAbsolutePath(path: string): boolean {
  if (path === "/") return true;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  if (!path.startsWith("/") || /[\u0000-\u0020\u007f]/.test(path)) return false;
  return path
    .slice(1)
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== "..");
}

/** Longest label in bytes: ext4 superblock s_volume_name, XFS sb_fname, FAT BS_VolLab, EROFS volume_name, btrfs. */
const labelBytes: Partial<Record<FileSystemType, number>> = {
  ext2: 16,
  ext3: 16,
  ext4: 16,
  erofs: 15,
  xfs: 12,
  vfat: 11,
  btrfs: 255,
};

function labelLength(device: Device, type: FileSystemType): Complaint[] {
  const limit = labelBytes[type];
  if (device === "none" || device.kind !== "label" || limit === undefined) return [];
  const length = Buffer.byteLength(device.label);
  if (length <= limit) return [];
  const what = `the label ${describe(device.label)} has ${length} bytes`;
  return [{ code: "wrong-label", field: "device", what, expected: `at most ${limit} bytes on ${type}` }];
}

function deviceNeeded(device: Device, type: FileSystemType): Complaint[] {
  if (device !== "none" || ["tmpfs", "overlay", "none"].includes(type)) return [];
  return [
    {
      code: "missing-device",
      field: "device",
      what: `${type} needs a device`,
      expected: 'label("…"), uuid("…") or devicePath("…")',
    },
  ];
}
