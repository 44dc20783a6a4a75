import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanupAtExit } from "../hypervisors/cleanup-at-exit.ts";

/** A libvirt of the test's own. */
export interface LibvirtDaemon {
  /** For `virsh --connect`. */
  readonly uri: string;
  /** What the daemons said so far. */
  readonly log: () => string;
  /** Ends the daemons and every machine they run. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts `virtlogd` and `libvirtd` with sockets, settings and state in a temporary folder: several run side by side,
 * and a libvirt that the host may have is neither seen nor touched. They live in a process namespace, whose first
 * process ends with this one, however that ends; the kernel ends everything in it at once, machines included.
 */
export async function startLibvirt(): Promise<LibvirtDaemon> {
  const folder = mkdtempSync(join(tmpdir(), "meso-lv-"));
  const isRoot = process.getuid?.() === 0;
  writeSettings(folder, isRoot);
  const child = spawn("bwrap", [...namespaces(folder, isRoot), "--", "/bin/sh", "-c", daemons], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      LC_ALL: "C",
      XDG_RUNTIME_DIR: join(folder, "run"),
      XDG_CONFIG_HOME: join(folder, "etc"),
      XDG_CACHE_HOME: join(folder, "cache"),
      XDG_DATA_HOME: join(folder, "data"),
    },
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-65_536);
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      log += error.message;
      resolve();
    });
    child.once("close", () => resolve());
  });
  const release = cleanupAtExit(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    release();
  };
  const socket = join(folder, "run/libvirt/libvirt-sock");
  try {
    await untilAnswering(socket, child);
  } catch (error) {
    await stop();
    throw new Error(`libvirtd did not start:\n${log}`, { cause: error });
  }
  return { uri: `qemu:///${isRoot ? "system" : "session"}?socket=${socket}`, log: () => log, stop };
}

/** The shell stays as the namespace's first process, and waits for whoever loses its parent: QEMU, after its fork. */
const daemons = "virtlogd & libvirtd & wait";

/** As root, libvirt's places are compiled in: ours are mounted on them. For others they follow from XDG_*. */
function namespaces(folder: string, isRoot: boolean): string[] {
  const places = { run: "/run", etc: "/etc", cache: "/var/cache", data: "/var/lib", log: "/var/log" };
  return [
    ...["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--dev-bind", "/", "/", "--proc", "/proc"],
    ...(isRoot
      ? [
          ...["--cap-add", "ALL", "--tmpfs", "/run", "--dir", "/run/lock"],
          ...Object.entries(places).flatMap(([ours, theirs]) => [
            ...["--bind", join(folder, ours, "libvirt"), join(theirs, "libvirt")],
          ]),
        ]
      : []),
  ];
}

/** QEMU runs as whoever runs the tests, unconfined: nothing here needs systemd, a bus, polkit or cgroups. */
function writeSettings(folder: string, isRoot: boolean): void {
  for (const name of ["run", "etc", "cache", "data", "log"]) {
    mkdirSync(join(folder, name, "libvirt"), { recursive: true });
  }
  const qemu = [
    ...['security_driver = "none"', "cgroup_controllers = []", "namespaces = []", "remember_owner = 0"],
    ...(isRoot ? ['user = "root"', 'group = "root"', "dynamic_ownership = 0"] : []),
  ];
  writeFileSync(join(folder, "etc/libvirt/qemu.conf"), `${qemu.join("\n")}\n`);
  const daemon = ["listen_tls = 0", 'auth_unix_ro = "none"', 'auth_unix_rw = "none"'];
  writeFileSync(join(folder, "etc/libvirt/libvirtd.conf"), `${daemon.join("\n")}\n`);
}

async function untilAnswering(socket: string, child: ChildProcess): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(50)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("it ended");
    if (existsSync(socket) && (await answers(socket))) return;
  }
  throw new Error("nobody answers on its socket");
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Numbers, on the host, of the processes that run a machine of this name below some libvirt. */
export function qemuProcesses(machine: string): number[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const isIt = words[0]!.includes("qemu-system") && words.some((word) => word.startsWith(`guest=${machine},`));
      return isIt ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}
