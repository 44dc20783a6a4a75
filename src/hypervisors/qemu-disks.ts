import { failure } from "../base/error.ts";

/** What a disk's lowest layer is; it is only read where there is an overlay. */
export type DiskSource =
  | { readonly kind: "raw" | "qcow2"; readonly path: string }
  | { readonly kind: "nbd"; readonly socketPath: string }
  | {
      readonly kind: "rbd";
      readonly pool: string;
      readonly image: string;
      readonly user: string;
      /** A file that tells the monitors and the user's keyring. Default: Ceph's own. */
      readonly configuration?: string;
    };

export interface QemuDisk {
  /** `scsi0`, `virtio1`, `sata2`: the bus, and the disk's place on it. */
  readonly slot: string;
  readonly source: DiskSource;
  /** A qcow2 file that takes all writes. */
  readonly overlay?: string;
  /** Seen in the machine as /dev/disk/by-id/…-SERIAL. */
  readonly serial?: string;
  /** Lowest first; a disk without is not started from. */
  readonly bootIndex?: number;
  /** Further options of the device and of the block node, in QEMU's words. */
  readonly device?: Readonly<Record<string, unknown>>;
  readonly node?: Readonly<Record<string, unknown>>;
}

/**
 * QEMU's arguments for the disks and the controllers they hang on, in their JSON form: no character has a meaning there.
 * @throws MesoError `invalid-setting` for a slot or serial that QEMU does not have.
 */
export function diskArguments(disks: readonly QemuDisk[]): string[] {
  const parsed = disks.map((disk) => ({ disk, ...parseSlot(disk.slot) }));
  const twice = parsed.find(({ disk }, index) => parsed.findIndex((other) => other.disk.slot === disk.slot) !== index);
  if (twice) throw failure("invalid-setting", `two disks are in ${twice.disk.slot}`);
  const buses = new Set(parsed.map(({ bus }) => bus));
  return [
    ...(buses.has("scsi") ? device({ driver: "virtio-scsi-pci", id: "scsi" }) : []),
    ...(buses.has("sata") ? device({ driver: "ahci", id: "sata" }) : []),
    ...parsed.flatMap(({ disk, bus, place }) => [
      "-blockdev",
      JSON.stringify(blockNode(disk)),
      ...device({
        ...onBus[bus](place),
        drive: nodeName(disk.slot),
        id: `disk-${disk.slot}`,
        ...(disk.bootIndex !== undefined && { bootindex: disk.bootIndex }),
        ...(disk.serial !== undefined && { serial: checkedSerial(disk.slot, bus, disk.serial) }),
        ...disk.device,
      }),
    ]),
  ];
}

/** The name of a slot's uppermost block node, for QMP. */
export function nodeName(slot: string): string {
  return `node-${slot}`;
}

type Bus = "scsi" | "virtio" | "sata";

/** Places on each bus: as many as Proxmox VE has, so that a slot means the same everywhere. */
const places: Readonly<Record<Bus, number>> = { scsi: 31, virtio: 16, sata: 6 };

const onBus: Readonly<Record<Bus, (place: number) => Record<string, unknown>>> = {
  scsi: (place) => ({ driver: "scsi-hd", bus: "scsi.0", channel: 0, "scsi-id": 0, lun: place }),
  virtio: () => ({ driver: "virtio-blk-pci" }),
  sata: (place) => ({ driver: "ide-hd", bus: `sata.${place}` }),
};

/** @throws MesoError `invalid-setting`. */
export function parseSlot(slot: string): { readonly bus: Bus; readonly place: number } {
  const match = /^(scsi|virtio|sata)(0|[1-9]\d?)$/.exec(slot);
  const bus = match?.[1] as Bus | undefined;
  const place = Number(match?.[2]);
  if (bus && place < places[bus]) return { bus, place };
  throw failure("invalid-setting", `there is no disk slot ${JSON.stringify(slot)}`, {
    expected: "scsi0 to scsi30, virtio0 to virtio15 or sata0 to sata5",
  });
}

/** Characters that QEMU hands to the machine; what is longer it would cut off without a word. */
const serialLength: Readonly<Record<Bus, number>> = { scsi: 36, virtio: 20, sata: 20 };

/** @throws MesoError `invalid-setting`. */
export function checkedSerial(slot: string, bus: Bus, serial: string): string {
  if (/^[A-Za-z0-9._-]+$/.test(serial) && serial.length <= serialLength[bus]) return serial;
  throw failure("invalid-setting", `${slot} cannot have the serial ${JSON.stringify(serial)}`, {
    expected: `at most ${serialLength[bus]} letters, digits, ".", "_" and "-"`,
  });
}

function blockNode({ slot, source, overlay, node }: QemuDisk): object {
  const named = { "node-name": nodeName(slot) };
  if (overlay === undefined) return { discard: "unmap", ...lowest(source, false), ...node, ...named };
  const backing = lowest(source, true);
  return {
    ...{ driver: "qcow2", discard: "unmap", ...node, ...named },
    file: { driver: "file", filename: overlay },
    backing,
  };
}

function lowest(source: DiskSource, isReadOnly: boolean): object {
  const format = source.kind === "qcow2" ? "qcow2" : "raw";
  return { driver: format, "read-only": isReadOnly, file: { ...protocol(source), "read-only": isReadOnly } };
}

function protocol(source: DiskSource): object {
  switch (source.kind) {
    case "nbd":
      return { driver: "nbd", server: { type: "unix", path: source.socketPath }, export: "" };
    case "rbd": {
      const { pool, image, user, configuration } = source;
      return { driver: "rbd", pool, image, user, ...(configuration !== undefined && { conf: configuration }) };
    }
    default:
      return { driver: "file", filename: source.path };
  }
}

function device(properties: object): string[] {
  return ["-device", JSON.stringify(properties)];
}
