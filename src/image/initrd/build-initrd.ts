import { writeCpio } from "../cpio.ts";
import { expandModules } from "./expand-modules.ts";
import { initScript } from "./init-script.ts";
import { type ModuleIndex, moduleName, modulesInOrder } from "./initrd-modules.ts";

export interface InitrdOptions extends ModuleIndex {
  /** As `uname -r` says it. */
  readonly kernelVersion: string;
  /** Modules wished for beside the usual ones: unknown names are an error. */
  readonly moduleNames?: readonly string[];
  /** A module's bytes by its path in `modules.dep`; compressed ones (.xz, .gz, .zst) as they are. */
  readonly readModule: (path: string) => Uint8Array;
  /** A static busybox (package busybox-static). */
  readonly busybox: Uint8Array;
}

/**
 * The initial RAM disk: busybox, our script, and the modules that reach the root file system. It knows
 * nothing of the machine, which all comes by the kernel's command line (`rootArguments`), so machines with
 * the same kernel share it. Not compressed: its files would be the only thing to gain, and every tool's
 * version would decide its bytes.
 *
 * @throws MesoError `unknown-module`, `bad-modules-dep`, `bad-module`.
 */
export async function buildInitrd(options: InitrdOptions): Promise<Uint8Array> {
  const modules = modulesInOrder(options, { required: options.moduleNames ?? [], optional: usualModules });
  const folder = `/lib/modules/${options.kernelVersion}`;
  const contents = await expandModules(modules.map((path) => ({ path, bytes: options.readModule(path) })));
  const files = modules.map((path, i) => ({ path: `${folder}/${moduleName(path)}.ko`, data: contents[i]! }));
  const order = files.map(({ path }) => `${path}\n`).join("");
  const directories = ["/bin", "/dev", "/etc", "/lib", "/lib/modules", folder, "/proc", "/run", "/sys", "/sysroot"];
  return writeCpio([
    ...directories.map((path) => ({ path, kind: "directory" as const, mode: 0o755 })),
    { path: "/bin/busybox", kind: "file", mode: 0o755, data: options.busybox },
    { path: "/bin/sh", kind: "symlink", mode: 0o777, target: "busybox" },
    { path: "/etc/modules", kind: "file", mode: 0o644, data: Buffer.from(order) },
    { path: "/init", kind: "file", mode: 0o755, data: Buffer.from(initScript) },
    ...files.map((file) => ({ ...file, kind: "file" as const, mode: 0o644 })),
  ]);
}

/** What the disks and root file systems of QEMU, Proxmox, libvirt and plain machines need, where modular. */
const usualModules = [
  ...["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix", "nvme"],
  ...["mptspi", "mptsas", "vmw_pvscsi", "megaraid_sas", "usb_storage", "uas"],
  ...["crc32c_generic", "crc32c_intel", "ext4", "erofs", "overlay"],
];
