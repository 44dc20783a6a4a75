import { copyFileSync, existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import type { DiskLocation } from "../pools/pool.ts";
import { credentialFiles } from "./machine-credentials.ts";
import { chooseAccelerator, slowness } from "./qemu-accelerator.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import type { DiskSource, QemuDisk } from "./qemu-disks.ts";
import { startProcess } from "./qemu-host-process.ts";
import { type MachineSettings, readSettings, type SlotSettings, writeSettings } from "./qemu-host-settings.ts";
import type { QemuNetwork, QemuNic } from "./qemu-networks.ts";
import { findQemu, findUefi } from "./qemu-program.ts";
import { boundLog } from "./serial-log.ts";

/** Files in a machine's folder beside its settings; the sockets `qmp`, `agent` and `serial` lie there too. */
const startedFile = "started.json";
const acceleratorFile = "accelerator";
const credentialsFolder = "credentials";
const variablesFile = "variables.fd";

export function serialLogOf(folder: string): string {
  return join(folder, "serial.log");
}

/** Values of secrets, one file each. */
export function credentialsOf(folder: string): string {
  return join(folder, credentialsFolder);
}

/** The settings with which the machine was last started: what a running one has, whatever was changed since. */
export function startedSettings(folder: string): MachineSettings | undefined {
  return readSettings(folder, startedFile);
}

/** How many times slower than hardware the machine is that runs, or ran last. */
export function timeScaleOf(folder: string): number {
  try {
    return readFileSync(join(folder, acceleratorFile), "utf8") === "kvm" ? slowness.kvm : slowness.tcg;
  } catch {
    return slowness.tcg;
  }
}

/** Starts the machine's QEMU, which outlives this process. Only the holder of the machine's lock may. */
export async function startMachineProcess(
  folder: string,
  settings: MachineSettings,
  options: { readonly cacheDirectory: string; readonly seconds: number },
): Promise<void> {
  const { architecture } = settings;
  const program = findQemu(architecture);
  const accelerator = chooseAccelerator({ program, architecture, ...options });
  const variables = settings.firmware === "uefi" ? ownVariables(folder, architecture) : undefined;
  const qemu = qemuArguments({
    ...{ architecture, accelerator, name: settings.id.name },
    cores: settings.cores,
    memoryMebibytes: settings.memoryMebibytes,
    disks: Object.entries(settings.disks).map(([slot, disk]) => qemuDisk(folder, slot, disk)),
    nics: settings.nics.map((nic) => qemuNic(folder, nic)),
    ...(variables && { uefi: { ...variables, variablesFormat: "raw" } }),
    // Relative to the folder, since a socket's address is short.
    sockets: { serial: "serial", agent: "agent", qmp: "qmp" },
    socketRole: "listens",
    serialLog: serialLogOf(folder),
    credentials: credentialFiles(credentialsOf(folder)),
  });
  boundLog(serialLogOf(folder));
  writeFileSync(join(folder, acceleratorFile), accelerator);
  writeSettings(folder, settings, startedFile);
  await startProcess(folder, program, qemu, options.seconds);
}

/** The name under which a disk is known here; two names are the same disk exactly when they are equal. */
export function diskName(disk: DiskLocation): string {
  return disk.kind === "file" ? disk.path : `rbd:${disk.pool}/${disk.image}`;
}

/** Firmware keeps its boot entries there; they are the machine's for as long as it is defined. */
function ownVariables(folder: string, architecture: string): { code: string; variables: string } {
  const { code, variables } = findUefi(architecture);
  const own = join(folder, variablesFile);
  if (!existsSync(own)) {
    copyFileSync(variables, `${own}.new`);
    renameSync(`${own}.new`, own);
  }
  return { code, variables: own };
}

function qemuDisk(folder: string, slot: string, settings: SlotSettings): QemuDisk {
  const { disk, serial, boot, device, node } = settings;
  return {
    ...{ slot, source: diskSource(folder, slot, disk) },
    ...(serial !== undefined && { serial }),
    ...(boot && { bootIndex: 0 }),
    ...(device && { device }),
    ...(node && { node }),
  };
}

function diskSource(folder: string, slot: string, disk: DiskLocation): DiskSource {
  if (disk.kind === "file") return { kind: disk.format, path: disk.path };
  return rbdSource(disk, join(folder, `ceph-${slot}.conf`));
}

/**
 * Where a keyring is given, QEMU is given a configuration that names it, since it takes none by itself: a copy of the
 * configuration at `copy`, with the keyring for the user.
 */
export function rbdSource(disk: Extract<DiskLocation, { kind: "rbd" }>, copy: string): DiskSource {
  const { pool, image, user, configuration, keyring } = disk;
  const common = { kind: "rbd" as const, pool, image, user };
  if (keyring === undefined) return { ...common, ...(configuration !== undefined && { configuration }) };
  const usual = configuration ?? "/etc/ceph/ceph.conf";
  if (!existsSync(usual))
    throw failure("invalid-setting", `${usual} does not exist`, { expected: "Ceph's configuration" });
  writeFileSync(copy, `${readFileSync(usual, "utf8")}\n[client.${user}]\nkeyring = ${keyring}\n`, { mode: 0o600 });
  return { ...common, configuration: copy };
}

function qemuNic(folder: string, nic: MachineSettings["nics"][number]): QemuNic {
  return { mac: nic.mac, network: qemuNetwork(folder, nic) };
}

/**
 * `user` is QEMU's own network. Any other name is a wire between the machines of one directory on this host: a multicast
 * group on the loopback interface that follows from directory, name and VLAN.
 */
function qemuNetwork(folder: string, { network, tag, forwards }: MachineSettings["nics"][number]): QemuNetwork {
  if (network === "user") return { kind: "user", ...(forwards && { forwards }) };
  if (forwards && Object.keys(forwards).length > 0) {
    throw failure("invalid-setting", `ports are forwarded into the network "user" only, not into ${network}`);
  }
  const digest = Buffer.from(sha256(`${realpathSync(join(folder, ".."))}\0${network}\0${tag ?? ""}`), "hex");
  // 239.192.0.0/14 is for an organisation's own use (RFC 2365); ports below 32768 are not handed out to clients.
  const group = `239.${192 + (digest[0]! & 3)}.${digest[1]}.${digest[2]}`;
  return { kind: "multicast", group, port: 20_000 + (digest.readUInt16BE(3) % 12_000) };
}
