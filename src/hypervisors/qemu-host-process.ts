import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { connectInFolder } from "./qemu-folder-socket.ts";
import { type QemuMonitor, qemuMonitor } from "./qemu-monitor.ts";

/**
 * QEMU as a process of this host that outlives whoever started it. Its number is in the folder's `pid`, which QEMU
 * writes and locks before it does anything else and removes when it ends by itself; so a file that is left without its
 * process tells of a crash.
 */
export interface HostProcess {
  readonly pid: number;
  readonly isAlive: () => boolean;
}

/** The process that runs the machine of this folder. A number that was given to another process since is not taken. */
export function findProcess(folder: string): HostProcess | undefined {
  const pid = Number(readText(pidFile(folder)).trim());
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const isAlive = () => isQemuOf(folder, pid);
  return isAlive() ? { pid, isAlive } : undefined;
}

/** Whether the last process ended without a word: killed, or the host was cut off. */
export function hasCrashed(folder: string): boolean {
  return readText(pidFile(folder)) !== "" && !findProcess(folder);
}

export function forgetCrash(folder: string): void {
  if (!findProcess(folder)) rmSync(pidFile(folder), { force: true });
}

/**
 * Returns when the machine runs and its sockets, relative to the folder, are there.
 * @throws MesoError `disk-in-use`, `task-failed` with QEMU's words.
 */
export async function startProcess(
  folder: string,
  program: string,
  settings: readonly string[],
  seconds: number,
): Promise<void> {
  const child = spawn(program, [...settings, "-daemonize", "-pidfile", pidFile(folder)], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-16_384);
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      said += error.message;
      resolve(null);
    });
    child.once("close", resolve);
  });
  const late = new AbortController();
  const inTime = sleep(seconds * 1000, "late" as const, { signal: late.signal }).catch(() => "late" as const);
  const end = await Promise.race([ended, inTime]);
  late.abort();
  if (end === 0) return;
  if (end === "late") {
    child.kill("SIGKILL");
    await endProcess(folder, 5);
    throw failure("task-failed", `QEMU did not start within ${Math.round(seconds)} s; ${said.trim()}`.trim(), {
      hint: "is the pool that its disks are in reachable?",
    });
  }
  throw startFailure(said.trim());
}

/** Asks QEMU to end, then ends it: certain when this returns. Disks are closed in order where QEMU still can. */
export async function endProcess(folder: string, seconds: number): Promise<void> {
  const running = findProcess(folder);
  if (!running) return;
  await withMonitor(folder, 2, (monitor) => monitor.execute("quit", undefined, 2)).catch(() => {});
  if (!(await hasEnded(running, seconds))) {
    signal(running, "SIGTERM");
    if (!(await hasEnded(running, 2))) signal(running, "SIGKILL");
    // What holds it now is the kernel, until its reads and writes are done.
    if (!(await hasEnded(running, 60))) throw failure("power-off-timeout", `process ${running.pid} cannot be ended`);
  }
  forgetCrash(folder);
}

/** Whether it ended within `seconds`. */
export async function hasEnded(running: HostProcess, seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  for (let pause = 10; running.isAlive(); pause = Math.min(pause * 2, 100)) {
    const left = end - performance.now();
    if (left <= 0) return false;
    await sleep(Math.min(pause, left));
  }
  return true;
}

/** Lets `body` speak with the machine's QEMU. @throws MesoError `unknown-outcome` when it does not listen. */
export async function withMonitor<T>(
  folder: string,
  seconds: number,
  body: (monitor: QemuMonitor) => Promise<T>,
): Promise<T> {
  const socket = await connectInFolder(folder, "qmp", seconds, () => findProcess(folder) !== undefined);
  if (!socket) throw failure("unknown-outcome", `QEMU does not listen in ${folder}`);
  const monitor = qemuMonitor(socket);
  try {
    return await body(monitor);
  } finally {
    monitor.close();
  }
}

const pidFile = (folder: string): string => join(folder, "pid");

/** Its command line names our file, which no other process would. A process that has ended has none. */
function isQemuOf(folder: string, pid: number): boolean {
  const words = readText(`/proc/${pid}/cmdline`).split("\0");
  return words[words.indexOf("-pidfile") + 1] === pidFile(folder) && words.includes("-pidfile");
}

function signal({ pid, isAlive }: HostProcess, name: "SIGTERM" | "SIGKILL"): void {
  try {
    if (isAlive()) process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function startFailure(said: string) {
  // QEMU's names of these are stable; it is not translated.
  if (/Failed to get .*lock|Device or resource busy|Operation not permitted.*lock/i.test(said)) {
    return failure("disk-in-use", `QEMU did not start: ${said}`, { hint: "another machine has the disk open" });
  }
  if (/Could not set up host forwarding rule/.test(said)) {
    return failure("task-failed", `QEMU did not start: ${said}`, { hint: "another program listens on that port" });
  }
  return failure("task-failed", `QEMU did not start: ${said || "it said nothing"}`);
}
