import { assert } from "../base/error.ts";
import { firmwareName } from "./machine-credentials.ts";
import type { Accelerator } from "./qemu-accelerator.ts";
import { diskArguments, type QemuDisk } from "./qemu-disks.ts";
import { networkArguments, type QemuNic } from "./qemu-networks.ts";

export interface QemuMachine {
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  readonly accelerator: Accelerator;
  readonly name: string;
  readonly cores: number;
  readonly memoryMebibytes: number;
  readonly disks: readonly QemuDisk[];
  readonly nics: readonly QemuNic[];
  /** UEFI where given, else the machine type's own firmware (SeaBIOS). */
  readonly uefi?: { readonly code: string; readonly variables: string; readonly variablesFormat: "raw" | "qcow2" };
  /** Unix sockets. */
  readonly sockets: { readonly serial: string; readonly agent: string; readonly qmp: string };
  /** Where QEMU writes what the machine says on its serial line; appended to. */
  readonly serialLog?: string;
  /** Files that its systemd takes as credentials, by name. */
  readonly credentials?: ReadonlyMap<string, string>;
  /**
   * `connects`: somebody listens on the sockets before QEMU starts: nothing is lost, nobody has to poll.
   * `listens`: QEMU does, one client at a time on each.
   */
  readonly socketRole: "connects" | "listens";
}

/** QEMU's arguments, without the program. @throws MesoError `invalid-setting`. */
export function qemuArguments(machine: QemuMachine): string[] {
  const type = machineTypes[machine.architecture];
  assert(type, `no machine type for ${machine.architecture}`);
  const cpu = machine.accelerator === "kvm" ? "host" : type.emulatedCpu;
  return [
    ...["-name", machine.name.replaceAll(",", ",,"), "-no-user-config", "-nodefaults", "-display", "none"],
    ...["-machine", machine.uefi ? `${type.machine},pflash0=code,pflash1=variables` : type.machine, "-cpu", cpu],
    // With a thread for each processor, QEMU 7.2 was seen to let one run into code that another was patching (an int3
    // in the kernel's static branches): machines died or hung at random while they started.
    ...["-accel", machine.accelerator === "kvm" ? "kvm" : "tcg,thread=single"],
    ...["-smp", String(machine.cores), "-m", String(machine.memoryMebibytes), "-rtc", "base=utc,clock=host"],
    ...(type.display ? ["-device", type.display] : []),
    ...["-device", "virtio-rng-pci"],
    ...firmware(machine),
    ...diskArguments(machine.disks),
    ...socket(machine, "serial", machine.serialLog),
    ...["-serial", "chardev:serial"],
    ...socket(machine, "agent"),
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
    ...socket(machine, "qmp"),
    ...["-mon", "chardev=qmp,mode=control"],
    ...networkArguments(machine.nics),
    ...credentialArguments(machine.credentials ?? new Map()),
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
  const flash = (name: string, filename: string, driver: "raw" | "qcow2", isReadOnly: boolean) => [
    "-blockdev",
    JSON.stringify({
      ...{ driver, "node-name": name, "read-only": isReadOnly },
      file: { driver: "file", filename, "read-only": isReadOnly },
    }),
  ];
  return [...flash("code", uefi.code, "raw", true), ...flash("variables", uefi.variables, uefi.variablesFormat, false)];
}

/** QEMU reads the files when it starts: values are on no command line. */
function credentialArguments(credentials: ReadonlyMap<string, string>): string[] {
  return [...credentials].flatMap(([name, path]) => [
    "-fw_cfg",
    `name=${firmwareName(name)},file=${path.replaceAll(",", ",,")}`,
  ]);
}

function socket({ sockets, socketRole }: QemuMachine, id: keyof QemuMachine["sockets"], log?: string): string[] {
  const role = socketRole === "listens" ? ",server=on,wait=off" : "";
  const logging = log === undefined ? "" : `,logfile=${log.replaceAll(",", ",,")},logappend=on`;
  return ["-chardev", `socket,id=${id},path=${sockets[id].replaceAll(",", ",,")}${role}${logging}`];
}
