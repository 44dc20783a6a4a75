import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { diskRecipe } from "../image/extent.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import { cleanupAtExit } from "./cleanup-at-exit.ts";
import { diskSize } from "./disk-size.ts";
import { type GuestAgent, guestAgent } from "./guest-agent.ts";
import type { Credentials } from "./hypervisor.ts";
import { writeCredentialFiles } from "./machine-credentials.ts";
import { type Accelerator, chooseAccelerator, slowness } from "./qemu-accelerator.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import type { DiskSource, QemuDisk } from "./qemu-disks.ts";
import { type QemuMonitor, qemuMonitor } from "./qemu-monitor.ts";
import type { QemuNic } from "./qemu-networks.ts";
import { findProgram, findQemu, findUefi } from "./qemu-program.ts";
import { type SerialConsole, serialConsole } from "./serial-console.ts";

export type MachineDisk = (
  | Extract<DiskSource, { kind: "raw" | "qcow2" | "rbd" }>
  | (Extract<DiskSource, { kind: "nbd" }> & { readonly size: number })
) & {
  /** Writes reach the disk itself; else they go to a layer that is thrown away at the end. */
  readonly keepWrites?: boolean;
  /** A file for that layer, which stays: the next machine that is given it goes on from there. Made where it is missing. */
  readonly layer?: string;
  /** `scsi0`, `virtio1`, `sata2`. Default: scsi, by the place in the list. */
  readonly slot?: string;
  readonly serial?: string;
};

export interface MachineOptions {
  readonly name?: string;
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  /** The first one starts. */
  readonly disks: readonly MachineDisk[];
  readonly firmware: "bios" | "uefi";
  readonly cores?: number;
  readonly memoryMebibytes?: number;
  /** QEMU's user network, with a port of this host's loopback for ssh. */
  readonly network?: boolean;
  /** Further network cards, after that of `network`. */
  readonly nics?: readonly QemuNic[];
  /** Instead of `network`: a last card that leads to this host only, for ssh. The system must give it an address. */
  readonly management?: { readonly mac: string };
  /** What its systemd takes as credentials. */
  readonly credentials?: Credentials;
  /** Where it is remembered whether KVM works. */
  readonly cacheDirectory: string;
  /** Instead of trying. */
  readonly accelerator?: Accelerator;
}

export interface Machine {
  readonly console: SerialConsole;
  readonly agent: GuestAgent;
  readonly monitor: QemuMonitor;
  readonly accelerator: Accelerator;
  /** How many times slower than hardware it is: stretches the deadlines of `console` and `agent`. */
  readonly timeScale: number;
  /** Port of the host's loopback that leads to the machine's ssh; undefined without network. */
  readonly sshPort: number | undefined;
  /** By the power button, then, after `gracefulSeconds` (stretched on slow machines), by force. */
  readonly stop: (options?: { gracefulSeconds?: number }) => Promise<"graceful" | "forced" | "was-off">;
  /** Settles when QEMU has ended. */
  readonly exited: Promise<{ readonly exitCode: number | null; readonly stderr: string }>;
}

/**
 * Starts a machine in QEMU. Nothing of it outlives `stop`, the machine's own end, or this process: sockets,
 * firmware variables and the layers that take the writes lie in a temporary folder that goes with it.
 *
 * @throws MesoError `qemu-missing`, `firmware-missing`, `qemu-failed` with QEMU's own words.
 */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  const program = findQemu(options.architecture);
  const uefi = options.firmware === "uefi" ? findUefi(options.architecture) : undefined;
  const accelerator = options.accelerator ?? chooseAccelerator({ ...options, program });
  const folder = mkdtempSync(join(tmpdir(), "meso-vm-"));
  const inside = (name: string) => join(folder, name);
  let child: ChildProcess | undefined;
  const release = cleanupAtExit(() => {
    child?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  const lines: { connection: Promise<Socket>; close: () => void }[] = [];
  const discard = () => {
    for (const line of lines) line.close();
    rmSync(folder, { recursive: true, force: true });
    release();
  };
  try {
    const variables = uefi && inside("variables.qcow2");
    if (uefi && variables) writeVariables(uefi.variables, variables);
    const disks = await Promise.all(
      options.disks.map((disk, index) => qemuDisk(disk, index, inside(`overlay${index}.qcow2`))),
    );
    const sockets = { serial: inside("serial"), agent: inside("agent"), qmp: inside("qmp") };
    for (const path of [sockets.serial, sockets.agent, sockets.qmp]) lines.push(await expectOne(path));
    const { network, management } = options;
    const sshPort = network || management ? await freePort() : undefined;
    const settings = qemuArguments({
      name: options.name ?? "meso",
      // Emulated processors share one thread: a second one would only make the first wait.
      cores: options.cores ?? (accelerator === "kvm" ? 2 : 1),
      memoryMebibytes: options.memoryMebibytes ?? 1024,
      ...{ architecture: options.architecture, accelerator, sockets, socketRole: "connects" },
      disks,
      nics: [
        ...(network ? [userNic(sshPort)] : []),
        ...(options.nics ?? []),
        ...(management && !network ? [userNic(sshPort, management.mac)] : []),
      ],
      ...(options.credentials && { credentials: writeCredentialFiles(inside("credentials"), options.credentials) }),
      ...(uefi && variables && { uefi: { code: uefi.code, variables, variablesFormat: "qcow2" } }),
    });
    const running = runBound(program, settings);
    child = running.child;
    const exited = running.exited.then((end) => {
      discard();
      return end;
    });
    const connected = Promise.all(lines.map((line) => line.connection));
    const first = await Promise.race([connected, exited]);
    if (!Array.isArray(first)) throw failure("qemu-failed", `QEMU did not start: ${first.stderr.trim()}`);
    const [serial, agent, qmp] = first as [Socket, Socket, Socket];
    const timeScale = slowness[accelerator];
    const monitor = qemuMonitor(qmp);
    return {
      console: serialConsole(serial, timeScale),
      agent: guestAgent(agent, timeScale),
      ...{ monitor, accelerator, timeScale, sshPort, exited },
      stop: stopper(running.child, exited, monitor, timeScale),
    };
  } catch (error) {
    child?.kill("SIGKILL");
    discard();
    throw error;
  }
}

/** Should this process be killed outright, the kernel ends QEMU with it (setpriv is part of util-linux). */
function runBound(program: string, settings: readonly string[]) {
  const setpriv = findProgram("setpriv");
  const command = setpriv ? [setpriv, "--pdeathsig", "KILL", "--", program] : [program];
  // Its own session: Ctrl-C on the terminal is for us, who then end the machine in order.
  const child = spawn(command[0]!, [...command.slice(1), ...settings], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-16_384);
  });
  const exited = new Promise<{ exitCode: number | null; stderr: string }>((resolve) => {
    child.once("error", (error) => resolve({ exitCode: null, stderr: error.message }));
    child.once("close", (exitCode) => resolve({ exitCode, stderr }));
  });
  return { child, exited };
}

async function qemuDisk(disk: MachineDisk, index: number, overlay: string): Promise<QemuDisk> {
  const { slot = `scsi${index}`, serial } = disk;
  const settings = { slot, source: disk, bootIndex: index, ...(serial !== undefined && { serial }) };
  if (disk.keepWrites) return settings;
  if (disk.layer !== undefined && existsSync(disk.layer)) return { ...settings, overlay: disk.layer };
  const size = disk.kind === "nbd" ? disk.size : await diskSize(disk);
  const layer = disk.layer ?? overlay;
  writeQcow2(diskRecipe(size, []), layer, noSegments);
  return { ...settings, overlay: layer };
}

const noSegments = { segmentDataPath: () => "" };

/** As qcow2, so that a snapshot of the machine holds them too. */
function writeVariables(template: string, path: string): void {
  const bytes = readFileSync(template);
  const extent = { start: 0, length: bytes.length, source: { kind: "bytes" as const, bytes } };
  writeQcow2(diskRecipe(bytes.length, [extent]), path, noSegments);
}

function userNic(sshPort: number | undefined, managementMac?: string): QemuNic {
  const forwards = sshPort === undefined ? {} : { [sshPort]: 22 };
  if (managementMac === undefined) return { network: { kind: "user", forwards } };
  return { network: { kind: "user", forwards, isRestricted: true }, mac: managementMac };
}

/** Listens for exactly one connection. */
async function expectOne(path: string): Promise<{ connection: Promise<Socket>; close: () => void }> {
  const server: Server = createServer();
  const connection = new Promise<Socket>((resolve) => {
    server.once("connection", (socket) => {
      server.close();
      resolve(socket);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return { connection, close: () => server.close(() => {}) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address === "string" || !address) throw new Error("assertion failed: a TCP server has a port");
  return address.port;
}

function stopper(
  child: ChildProcess,
  exited: Machine["exited"],
  monitor: QemuMonitor,
  timeScale: number,
): Machine["stop"] {
  const ended = async (seconds: number) => {
    const controller = new AbortController();
    const timer = sleep(seconds * 1000, false, { signal: controller.signal }).catch(() => false);
    const result = await Promise.race([exited.then(() => true), timer]);
    controller.abort();
    return result;
  };
  /** A QEMU that does not take it is ended by force. */
  const ask = (command: string) => void monitor.execute(command).catch(() => {});
  return async ({ gracefulSeconds = 10 } = {}) => {
    if (child.exitCode !== null || child.signalCode !== null) return "was-off";
    if (gracefulSeconds > 0) {
      ask("system_powerdown");
      if (await ended(gracefulSeconds * timeScale)) return "graceful";
    }
    ask("quit");
    if (!(await ended(2))) child.kill("SIGKILL");
    await exited;
    return "forced";
  };
}
