import { accessSync, constants, mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { canonicalJson } from "../base/canonical.ts";
import { failure, MesoError, type Problem } from "../base/error.ts";
import { lock } from "../store/lock.ts";
import { ownerIsGone, ownerProcess } from "../store/owner.ts";
import type { HypervisorDriver, HypervisorNeeds, MachineId, MachineState, PowerOffOptions } from "./hypervisor.ts";
import { writeCredentialFiles } from "./machine-credentials.ts";
import { checkedSerial, parseSlot } from "./qemu-disks.ts";
import { hostAgent } from "./qemu-host-agent.ts";
import { endProcess, findProcess, forgetCrash, hasCrashed, hasEnded, withMonitor } from "./qemu-host-process.ts";
import {
  forgetSettings,
  type MachineSettings,
  makeFolder,
  readSettings,
  settingsVersion,
  writeSettings,
} from "./qemu-host-settings.ts";
import {
  credentialsOf,
  diskName,
  serialLogOf,
  startedSettings,
  startMachineProcess,
  timeScaleOf,
} from "./qemu-host-start.ts";
import { checkQemu } from "./qemu-program.ts";
import { boundLog, followLog } from "./serial-log.ts";

/**
 * Virtual machines as QEMU processes of this host that outlive the command: no daemon, no root. Each machine is a folder
 * in `directory`, with its settings (`machine.json`), firmware variables, sockets and the log of its serial line. Changes
 * are made by the holder of the machine's lock only.
 */
export function qemuHost(options: { readonly directory: string }): HypervisorDriver {
  const directory = resolve(options.directory);
  const folderOf = ({ name }: MachineId) => join(directory, checkedName(name));
  const cacheDirectory = join(directory, ".cache");

  const existing = (id: MachineId): MachineSettings => {
    const settings = readSettings(folderOf(id));
    if (settings) return settings;
    throw failure("no-machine", `there is no machine ${id.name} in ${directory}`);
  };
  const locked = async <T>(id: MachineId, body: (folder: string) => T | Promise<T>): Promise<T> => {
    const folder = folderOf(id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const held = await lockMachine(directory, id);
    try {
      return await body(folder);
    } finally {
      held.release();
    }
  };
  const look = async (name: string): Promise<MachineState | undefined> => {
    const folder = join(directory, name);
    const settings = readSettings(folder);
    if (!settings) return undefined;
    boundLog(serialLogOf(folder));
    const busy = whoWorksOn(directory, name);
    return {
      id: settings.id,
      power: busy === undefined ? await powerOf(folder) : "changing",
      version: settingsVersion(settings),
      ...slotsOf(folder, settings),
      ...{ detached: [], hasAgent: true, timeScale: timeScaleOf(folder), snapshots: [] },
      ...(busy !== undefined && { busy }),
    };
  };

  return {
    kind: "qemu",
    title: `QEMU on this host, in ${directory}`,
    check: (needs) => check(directory, needs),
    list: async () => {
      const states = await Promise.all(machineNames(directory).map(look));
      return states.filter((state) => state !== undefined);
    },
    inspect: (id) => look(checkedName(id.name)),
    define: (spec) =>
      locked(spec.id, (folder) => {
        if (spec.firmware === "bios" && spec.architecture !== "amd64") {
          const what = `${spec.id.name}: machines of architecture ${spec.architecture} have no BIOS`;
          throw failure("invalid-setting", what, { expected: 'firmware: "uefi"' });
        }
        const before = readSettings(folder);
        const settings = { ...spec, formatVersion: 1 as const, disks: before?.disks ?? {} };
        if (!before) makeFolderOf(spec.id, folder);
        if (!before || settingsVersion(before) !== settingsVersion(settings)) writeSettings(folder, settings);
      }),
    giveCredentials: (id, credentials, options) =>
      locked(id, (folder) => {
        existing(id);
        writeCredentialFiles(credentialsOf(folder), credentials, options);
      }),
    powerOn: (id, seconds) =>
      locked(id, async (folder) => {
        const settings = existing(id);
        const power = await powerOf(folder);
        if (power === "on") return;
        if (power === "paused") return void (await withMonitor(folder, 5, (monitor) => monitor.execute("cont")));
        // What crashed may be there still: a kernel that panicked.
        await endProcess(folder, 5);
        forgetCrash(folder);
        await startMachineProcess(folder, settings, { cacheDirectory, seconds });
      }),
    powerOff: (id, how) =>
      locked(id, async (folder) => {
        existing(id);
        return powerOff(id.name, folder, how);
      }),
    attach: (id, slot, disk, expected, { serial, boot } = {}) =>
      locked(id, (folder) => {
        const before = existing(id);
        const { bus } = parseSlot(slot);
        if (serial !== undefined) checkedSerial(slot, bus, serial);
        const disks = Object.entries(before.disks).map(([name, each]) => {
          // The machine starts from one disk.
          const { boot: wasFirst, ...others } = each;
          return [name, boot && wasFirst && name !== slot ? others : each] as const;
        });
        const given = { disk, ...(serial !== undefined && { serial }), ...(boot && { boot }) };
        const after = {
          ...before,
          disks: { ...Object.fromEntries(disks), [slot]: { ...before.disks[slot], ...given } },
        };
        const [old, fresh] = [settingsVersion(before), settingsVersion(after)];
        if (old === fresh) return old;
        if (old !== expected)
          throw failure("conflict", `the settings of ${id.name} are not the expected ones any more`);
        if (findProcess(folder)) {
          throw failure("busy-retry", `${id.name} is on: its disks cannot be changed`, { hint: "power it off first" });
        }
        writeSettings(folder, after);
        return fresh;
      }),
    volumeName: diskName,
    agent: (id) => {
      const folder = folderOf(id);
      return hostAgent(id.name, folder, () => timeScaleOf(folder));
    },
    console: (id) => {
      const folder = folderOf(id);
      return followLog(serialLogOf(folder), () => !findProcess(folder));
    },
    consoleCommand: (id) => {
      const program = fileURLToPath(new URL("./qemu-host-console.ts", import.meta.url));
      return [process.execPath, program, folderOf(id)];
    },
    remove: (id) =>
      locked(id, (folder) => {
        if (findProcess(folder)) throw failure("busy-retry", `${id.name} is on`, { hint: "power it off first" });
        forgetSettings(folder);
      }),
  };
}

function makeFolderOf({ name }: MachineId, folder: string): void {
  if (findProcess(folder)) {
    const what = `${name} runs, and its settings are gone`;
    throw failure("busy-retry", what, { hint: `end process ${findProcess(folder)?.pid}, then define it anew` });
  }
  makeFolder(folder);
}

/** A name becomes a folder's: none that begins with a dot, which are ours. */
function checkedName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return name;
  throw failure("invalid-setting", `${JSON.stringify(name)} cannot be a machine's name`, {
    expected: 'letters, digits, ".", "_" and "-", 63 at most, a letter or digit first',
  });
}

function machineNames(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => !name.startsWith("."))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw failure("forbidden", `${directory} may not be read`, {}, error);
  }
}

const lockPath = (directory: string, name: string): string => join(directory, `.${name}.lock`);

/** Milliseconds; others hold it for as long as a shutdown takes. */
const lockPatience = 20_000;

async function lockMachine(directory: string, { name }: MachineId) {
  const path = lockPath(directory, name);
  try {
    return await lock(path, { patience: lockPatience });
  } catch (error) {
    if (!(error instanceof MesoError) || error.code !== "store-busy") throw error;
    throw failure("machine-locked", `${name} is locked: ${whoWorksOn(directory, name) ?? "somebody works on it"}`);
  }
}

function whoWorksOn(directory: string, name: string): string | undefined {
  try {
    const owner = readlinkSync(lockPath(directory, name));
    return ownerIsGone(owner, 0) ? undefined : `process ${ownerProcess(owner)} of this host works on it`;
  } catch {
    return undefined;
  }
}

async function powerOf(folder: string): Promise<"on" | "off" | "paused" | "crashed" | "changing"> {
  if (!findProcess(folder)) return hasCrashed(folder) ? "crashed" : "off";
  try {
    const answer = await withMonitor(folder, 3, (monitor) => monitor.execute("query-status", undefined, 3));
    return runStates[(answer as { status?: string }).status ?? ""] ?? "on";
  } catch {
    // It may have ended meanwhile. One that runs and says nothing (a pool that hangs) still runs.
    return findProcess(folder) ? "on" : hasCrashed(folder) ? "crashed" : "off";
  }
}

/** QEMU's RunState (qapi/run-state.json), where it is not simply running. */
const runStates: Readonly<Record<string, "paused" | "crashed" | "changing">> = {
  paused: "paused",
  prelaunch: "paused",
  debug: "paused",
  "io-error": "paused",
  watchdog: "paused",
  shutdown: "changing",
  "internal-error": "crashed",
  "guest-panicked": "crashed",
};

/** A running machine has what it was started with; what its settings say since comes at the next start. */
function slotsOf(folder: string, settings: MachineSettings): Pick<MachineState, "slots" | "staged"> {
  const running = findProcess(folder) ? startedSettings(folder) : undefined;
  const now = Object.entries((running ?? settings).disks);
  const next = new Map(Object.entries(settings.disks).map(([slot, { disk }]) => [slot, diskName(disk)]));
  const changed = now
    .filter(([slot, { disk }]) => next.get(slot) !== diskName(disk))
    .map(([slot]) => [slot, next.get(slot) ?? "remove"] as const);
  const added = [...next].filter(([slot]) => !now.some(([other]) => other === slot));
  return {
    slots: new Map(now.map(([slot, of]) => [slot, { volume: diskName(of.disk), raw: canonicalJson(of) }])),
    staged: new Map([...changed, ...added]),
  };
}

async function powerOff(
  name: string,
  folder: string,
  { graceful, deadlineSeconds, force }: PowerOffOptions,
): Promise<"graceful" | "forced" | "was-off"> {
  const running = findProcess(folder);
  if (!running) {
    forgetCrash(folder);
    return "was-off";
  }
  if (graceful) {
    const end = performance.now() + deadlineSeconds * 1000;
    const left = () => Math.max(0, (end - performance.now()) / 1000);
    let isAsked = false;
    do {
      isAsked ||= await askToPowerOff(name, folder, Math.min(left(), 3));
      // A machine that has only begun to start hears neither: it is asked again.
      if (await hasEnded(running, isAsked ? left() : Math.min(left(), 5))) return "graceful";
      await sleep(1);
    } while (left() > 0);
    if (!force) {
      throw failure("power-off-timeout", `${name} is still on after ${Math.round(deadlineSeconds)} s`, {
        hint: "look at its console; allow its power to be cut (mayCutPower)",
      });
    }
  }
  await endProcess(folder, 5);
  return "forced";
}

/** By its agent, else by the power button. Gives whether the agent took it. */
async function askToPowerOff(name: string, folder: string, seconds: number): Promise<boolean> {
  try {
    const agent = hostAgent(name, folder, () => 1);
    await agent.ping(seconds);
    await agent.shutdown();
    return true;
  } catch {
    await withMonitor(folder, 2, async (monitor) => {
      // A paused machine hears nothing.
      await monitor.execute("cont").catch(() => {});
      await monitor.execute("system_powerdown");
    }).catch(() => {});
    return false;
  }
}

async function check(directory: string, { machines, defines }: HypervisorNeeds): Promise<readonly Problem[]> {
  const problems: Problem[] = [...checkQemu()];
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    problems.push({ code: "forbidden", what: `${directory} cannot be made or written`, expected: "a folder of yours" });
  }
  const missing = defines ? [] : machines.filter(({ name }) => !readSettings(join(directory, checkedName(name))));
  return [
    ...problems,
    ...missing.map(({ name }) => ({ code: "no-machine", what: `there is no machine ${name} in ${directory}` })),
  ];
}
