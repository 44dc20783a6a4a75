import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanupAtExit } from "../../hypervisors/cleanup-at-exit.ts";
import { type JsonChannel, jsonChannel } from "../../hypervisors/json-channel.ts";
import { chooseAccelerator } from "../../hypervisors/qemu-accelerator.ts";
import { qemuArguments } from "../../hypervisors/qemu-arguments.ts";
import { findProgram, findQemu } from "../../hypervisors/qemu-program.ts";
import { testCacheFolder } from "../test-session.ts";
import { AgentRefusal, AgentSilence, type Hardware, type HardwareMachine, type RunningMachine } from "./hardware.ts";
import { type EmulatedStorage, parseVolume } from "./storages.ts";

export interface QemuHardware extends Hardware {
  /** All that the machine of that number said on its serial line since its last start. */
  readonly consoleText: (vmid: number) => string;
}

/** Real QEMU on the real disks of the storages. */
export function qemuHardware(storages: Readonly<Record<string, EmulatedStorage>>): QemuHardware {
  const logs = new Map<number, () => string>();
  return {
    consoleText: (vmid) => logs.get(vmid)?.() ?? "",
    start: (machine) => start(machine, storages, (text) => logs.set(machine.vmid, text)),
  };
}

async function start(
  machine: HardwareMachine,
  storages: Readonly<Record<string, EmulatedStorage>>,
  said: (text: () => string) => void,
): Promise<RunningMachine> {
  const program = findQemu("amd64");
  const accelerator = chooseAccelerator({
    program,
    architecture: "amd64",
    cacheDirectory: join(testCacheFolder(), "pve"),
  });
  const folder = mkdtempSync(join(tmpdir(), "meso-pve-vm-"));
  const inside = (name: string) => join(folder, name);
  const sockets = { serial: inside("serial"), agent: inside("agent"), qmp: inside("qmp") };
  const settings = qemuArguments({
    ...{ architecture: "amd64", accelerator, name: machine.name, sockets, socketRole: "listens" },
    ...{ cores: 1, memoryMebibytes: machine.memoryMebibytes, serialLog: inside("console"), nics: [] },
    disks: machine.disks.map(({ slot, volume, serial, bootIndex }) => {
      const { storage, image } = parseVolume(volume);
      const source = storages[storage]!.source(image);
      if (source.kind === "none") throw new Error(`nothing lies behind ${volume}`);
      return { slot, source, ...(serial !== undefined && { serial }), ...(bootIndex !== undefined && { bootIndex }) };
    }),
  });
  const setpriv = findProgram("setpriv");
  const command = [...(setpriv ? [setpriv, "--pdeathsig", "KILL", "--"] : []), program, ...settings];
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "ignore", "pipe"], detached: true });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words += text;
  });
  const release = cleanupAtExit(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  said(() => readText(inside("console")));
  const lines: Socket[] = [];
  const exited = new Promise<void>((resolve) => child.once("close", resolve)).then(() => {
    const all = readText(inside("console"));
    said(() => all);
    for (const line of lines) line.destroy();
    rmSync(folder, { recursive: true, force: true });
    release();
  });
  try {
    const [qmp, agent] = [await connected(sockets.qmp, child), await connected(sockets.agent, child)];
    lines.push(qmp, agent);
    const monitor = jsonChannel(qmp);
    monitor.send({ execute: "qmp_capabilities" });
    return running(child, monitor, jsonChannel(agent), exited);
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw new Error(`QEMU exited with code ${child.exitCode}: ${words.trim()}`, { cause: error });
  }
}

function running(child: ChildProcess, monitor: JsonChannel, line: JsonChannel, exited: Promise<void>): RunningMachine {
  let turn: Promise<unknown> = Promise.resolve();
  let number = 0;
  const ask = async (execute: string, args: Readonly<Record<string, unknown>>, seconds: number) => {
    const end = performance.now() + seconds * 1000;
    const left = () => Math.max(1, end - performance.now());
    const id = ++number;
    // Whatever an earlier question left in the line is behind us when our own number comes.
    line.send({ execute: "guest-sync-delimited", arguments: { id } }, Buffer.of(0xff));
    const met = await line.receive((message) => (message.return === id ? true : undefined), left());
    if (!met) throw new AgentSilence();
    line.send({ execute, arguments: args });
    const reply = await line.receive((message) => message, left());
    if (!reply) throw new AgentSilence();
    const error = reply.error as { desc?: string } | undefined;
    if (error) throw new AgentRefusal(error.desc ?? "unknown error");
    return reply.return;
  };
  return {
    state: () => "running",
    agent: (...question) => {
      const answer = turn.then(() => ask(...question));
      turn = answer.catch(() => {});
      return answer;
    },
    powerButton: () => monitor.send({ execute: "system_powerdown" }),
    resume: () => monitor.send({ execute: "cont" }),
    kill: () => void child.kill("SIGKILL"),
    exited,
  };
}

async function connected(path: string, child: ChildProcess): Promise<Socket> {
  for (let tries = 0; tries < 1200 && child.exitCode === null && child.signalCode === null; tries++) {
    const socket = connect(path);
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (isOpen) return socket;
    await sleep(50);
  }
  throw new Error(`nobody listens on ${path}`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
