import { spawnSync } from "node:child_process";
import { failure } from "../../base/error.ts";
import { writeCpio } from "../cpio.ts";
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
export function buildInitrd(options: InitrdOptions): Uint8Array {
  const modules = modulesInOrder(options, { required: options.moduleNames ?? [], optional: usualModules });
  const folder = `/lib/modules/${options.kernelVersion}`;
  const files = modules.map((path) => ({
    path: `${folder}/${moduleName(path)}.ko`,
    data: decompressed(path, options.readModule(path)),
  }));
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

const decompressors: Readonly<Record<string, readonly string[]>> = {
  xz: ["xz", "-dc", "-T1"],
  gz: ["gzip", "-dc"],
  zst: ["zstd", "-dcq"],
};

/** Bytes. Modules of any kernel stay far below; a bomb does not. */
const maxModuleBytes = 256 << 20;

function decompressed(path: string, bytes: Uint8Array): Uint8Array {
  const suffix = /\.ko\.([a-z0-9]+)$/.exec(path)?.[1];
  if (suffix === undefined) return bytes;
  const command = decompressors[suffix];
  if (!command) throw failure("bad-module", `${path}: unknown compression "${suffix}"`, { expected: "xz, gz or zst" });
  const { stdout, stderr, status, error } = spawnSync(command[0]!, command.slice(1), {
    input: bytes,
    // XZ_OPT and its like must not reach it, and its messages shall be in one language.
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" },
    maxBuffer: maxModuleBytes,
  });
  if (status === 0) return stdout;
  const missing = (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
  throw failure(
    "bad-module",
    `${path}: ${missing ? `the program ${command[0]} is not installed` : String(error?.message ?? stderr).trim()}`,
    {
      ...(missing && { hint: `apt-get install ${command[0] === "xz" ? "xz-utils" : command[0]}` }),
    },
  );
}
