import { assert } from "../base/error.ts";
import type { Accelerator } from "./qemu-accelerator.ts";

/** What the disk's lowest layer is; it is only read unless there is no overlay. */
export type DiskBacking =
  | { readonly kind: "raw" | "qcow2"; readonly path: string }
  | { readonly kind: "nbd"; readonly socketPath: string };

export interface QemuMachine {
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  readonly accelerator: Accelerator;
  readonly name: string;
  readonly cores: number;
  readonly memoryMebibytes: number;
  readonly disks: readonly {
    readonly backing: DiskBacking;
    /** A qcow2 file that takes all writes. */
    readonly overlay?: string;
    readonly bus: "virtio-scsi" | "virtio-blk";
  }[];
  /** UEFI where given, else the machine type's own firmware (SeaBIOS). */
  readonly uefi?: { readonly code: string; readonly variables: string };
  /** Unix sockets that somebody listens on before QEMU starts: nothing is lost, nobody has to poll. */
  readonly sockets: { readonly serial: string; readonly agent: string; readonly qmp: string };
  /** Port of the host's loopback that leads to the machine's ssh. */
  readonly sshPort?: number;
  readonly network: boolean;
}

/** QEMU's arguments, without the program. */
export function qemuArguments(machine: QemuMachine): string[] {
  const type = machineTypes[machine.architecture];
  assert(type, `no machine type for ${machine.architecture}`);
  const cpu = machine.accelerator === "kvm" ? "host" : type.emulatedCpu;
  return [
    ...["-name", machine.name, "-no-user-config", "-nodefaults", "-display", "none"],
    ...["-machine", type.machine, "-cpu", cpu],
    // With a thread for each processor, QEMU 7.2 was seen to let one run into code that another was patching (an int3
    // in the kernel's static branches): machines died or hung at random while they started.
    ...["-accel", machine.accelerator === "kvm" ? "kvm" : "tcg,thread=single"],
    ...["-smp", String(machine.cores), "-m", String(machine.memoryMebibytes), "-rtc", "base=utc,clock=host"],
    ...(type.display ? ["-device", type.display] : []),
    ...["-device", "virtio-rng-pci"],
    ...firmware(machine),
    ...machine.disks.flatMap(disk),
    ...socket("serial", machine.sockets.serial),
    ...["-serial", "chardev:serial"],
    ...socket("agent", machine.sockets.agent),
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
    ...socket("qmp", machine.sockets.qmp),
    ...["-mon", "chardev=qmp,mode=control"],
    ...network(machine),
  ];
}

/** Five-level page tables (la57), part of "max", only slow an emulated machine down. */
const machineTypes: Readonly<Record<string, { machine: string; emulatedCpu: string; display?: string }>> = {
  amd64: { machine: "q35", emulatedCpu: "max,la57=off", display: "VGA" },
  arm64: { machine: "virt", emulatedCpu: "max" },
  riscv64: { machine: "virt", emulatedCpu: "max" },
};

function firmware({ uefi }: QemuMachine): string[] {
  if (!uefi) return [];
  const flash = (unit: number, file: string, readOnly: boolean) => [
    "-drive",
    `if=pflash,unit=${unit},format=raw,file=${file.replaceAll(",", ",,")},readonly=${readOnly ? "on" : "off"}`,
  ];
  return [...flash(0, uefi.code, true), ...flash(1, uefi.variables, false)];
}

function disk({ backing, overlay, bus }: QemuMachine["disks"][number], index: number): string[] {
  const readOnly = overlay !== undefined;
  const lowest = {
    driver: backing.kind === "qcow2" ? "qcow2" : "raw",
    "read-only": readOnly,
    ...(readOnly ? {} : { discard: "unmap" }),
    file:
      backing.kind === "nbd"
        ? { driver: "nbd", server: { type: "unix", path: backing.socketPath }, export: "", "read-only": readOnly }
        : { driver: "file", filename: backing.path, "read-only": readOnly },
  };
  const node =
    overlay === undefined
      ? lowest
      : { driver: "qcow2", discard: "unmap", file: { driver: "file", filename: overlay }, backing: lowest };
  return [
    ...["-blockdev", JSON.stringify({ ...node, "node-name": `disk${index}` })],
    ...(bus === "virtio-scsi"
      ? [
          "-device",
          `virtio-scsi-pci,id=scsi${index}`,
          "-device",
          `scsi-hd,bus=scsi${index}.0,drive=disk${index},bootindex=${index}`,
        ]
      : ["-device", `virtio-blk-pci,drive=disk${index},bootindex=${index}`]),
  ];
}

function socket(id: string, path: string): string[] {
  return ["-chardev", `socket,id=${id},path=${path.replaceAll(",", ",,")}`];
}

function network(machine: QemuMachine): string[] {
  if (!machine.network) return [];
  const forward = machine.sshPort === undefined ? "" : `,hostfwd=tcp:127.0.0.1:${machine.sshPort}-:22`;
  return ["-netdev", `user,id=net0${forward}`, "-device", "virtio-net-pci,netdev=net0,romfile="];
}
