import { setTimeout as sleep } from "node:timers/promises";
import { AgentSilence, type HardwareMachine } from "./hardware.ts";
import {
  applyPending,
  bootOrder,
  isDiskKey,
  type MachineRecord,
  refuseLocked,
  volumeOf,
  withFileLock,
} from "./machine-record.ts";
import { died } from "./refusal.ts";
import { parseProperties } from "./validate.ts";
import { type Call, machineOf, type Operation, volumeSize, type World } from "./world.ts";

/** On, off, and what the machine is doing. */
export const powerOperations: Readonly<Record<string, Operation>> = {
  "GET /nodes/{node}/qemu/{vmid}/status/current": async (call) => {
    const machine = machineOf(call);
    const lock = machine.keys.get("lock");
    return {
      vmid: machine.vmid,
      name: machine.keys.get("name"),
      status: machine.running ? "running" : "stopped",
      qmpstatus: machine.running?.state() ?? "stopped",
      ha: machine.ha ? { managed: 1, state: machine.ha.state } : { managed: 0 },
      ...(lock !== undefined && { lock }),
      ...(machine.keys.get("template") === "1" && { template: 1 }),
    };
  },

  "POST /nodes/{node}/qemu/{vmid}/status/start": async (call) => {
    const machine = machineOf(call);
    if (machine.ha) return wish(call, machine, "started");
    return worker(call, "qmstart", async (log) => {
      await withFileLock(machine, call.world.seconds.lock, async () => {
        if (machine.running) throw died(`VM ${machine.vmid} already running`);
        await startMachine(call.world, machine);
      });
      if (machine.keys.get("bios") !== "ovmf" || machine.keys.has("efidisk0")) return 0;
      log("WARN: no efidisk configured! Using temporary efivars disk.");
      return 1;
    });
  },

  "POST /nodes/{node}/qemu/{vmid}/status/stop": async (call) => {
    const machine = machineOf(call);
    if (machine.ha) return wish(call, machine, "stopped");
    return worker(call, "qmstop", async () => {
      if (call.parameters["overrule-shutdown"]) machine.abortShutdown?.();
      await withFileLock(machine, call.world.seconds.lock, async () => {
        if (!machine.running) return;
        refuseLocked(machine);
        machine.running.kill();
        await machine.running?.exited;
      });
    });
  },

  "POST /nodes/{node}/qemu/{vmid}/status/shutdown": async (call) => {
    const machine = machineOf(call);
    if (machine.ha) return wish(call, machine, "stopped");
    const { timeout = 60, forceStop } = call.parameters;
    return worker(call, "qmshutdown", () =>
      // Held all the while: whatever else is asked of the machine waits, and gives up.
      withFileLock(machine, call.world.seconds.lock, () =>
        shutDown(call.world, machine, Number(timeout), forceStop === true),
      ),
    );
  },

  "POST /nodes/{node}/qemu/{vmid}/status/resume": async (call) => {
    const machine = machineOf(call);
    return worker(call, "qmresume", async () => {
      if (!machine.running) throw died(`VM ${machine.vmid} not running`);
      machine.running.resume();
    });
  },
};

function worker(call: Call, type: string, body: (log: (line: string) => void) => Promise<unknown>): string {
  const { world, node, path, identity } = call;
  return world.tasks.begin({ node, type, id: path.vmid!, user: identity.name }, body);
}

/** Under HA the task ends when the wish is noted; the manager acts in its own time. */
function wish(call: Call, machine: MachineRecord, state: "started" | "stopped"): string {
  return worker(call, state === "started" ? "hastart" : "hastop", async (log) => {
    log(`Requesting HA ${state} for VM ${machine.vmid}`);
    machine.ha!.state = state;
    haRound(call.world, machine);
  });
}

function haRound(world: World, machine: MachineRecord): void {
  setTimeout(async () => {
    const { ha } = machine;
    if (!ha || world.machines.get(machine.vmid) !== machine) return;
    if (ha.isHeldUp) return haRound(world, machine);
    if (ha.state === "stopped" && machine.running) await shutDown(world, machine, 1, true);
    if (ha.state !== "started" || machine.running) return;
    if (ha.moveTo !== undefined) machine.node = ha.moveTo;
    delete ha.moveTo;
    await startMachine(world, machine).catch(() => {});
  }, world.seconds.ha * 1000).unref();
}

async function shutDown(world: World, machine: MachineRecord, seconds: number, force: boolean): Promise<void> {
  const { running } = machine;
  if (!running) return;
  refuseLocked(machine);
  if (running.state() === "paused" && !force) throw died("VM is paused - cannot shutdown");
  const aborted = new Promise<string>((resolve) => {
    machine.abortShutdown = () => resolve("aborted");
  });
  try {
    const heard = hasAgent(machine) && (await answers(world, machine));
    if (heard) running.agent("guest-shutdown", { mode: "powerdown" }, 1).catch(() => {});
    else running.powerButton();
    const late = new AbortController();
    const timer = sleep(seconds * 1000, "late", { signal: late.signal, ref: false }).catch(() => "off");
    const end = await Promise.race([running.exited.then(() => "off"), aborted, timer]);
    late.abort();
    if (end === "off") return;
    if (end === "aborted") throw died("received interrupt");
    if (!force) throw died("VM quit/powerdown failed - got timeout");
    running.kill();
    await running.exited;
  } finally {
    machine.abortShutdown = undefined;
  }
}

export function hasAgent(machine: MachineRecord): boolean {
  const agent = machine.keys.get("agent");
  return agent !== undefined && parseProperties("agent", agent).pairs?.get("enabled") === "1";
}

export async function answers(world: World, machine: MachineRecord): Promise<boolean> {
  try {
    await machine.running?.agent("guest-ping", {}, world.seconds.agent);
    return machine.running !== undefined;
  } catch (error) {
    if (error instanceof AgentSilence) return false;
    throw error;
  }
}

async function startMachine(world: World, machine: MachineRecord): Promise<void> {
  refuseLocked(machine);
  if (machine.keys.get("template") === "1") throw died("you can't start a vm if it's a template");
  applyPending(machine);
  for (const [key, value] of machine.keys) {
    const volume = isDiskKey(key) ? volumeOf(key, value) : undefined;
    if (volume !== undefined) await volumeSize(world, volume);
  }
  const running = await world.hardware.start(asHardware(machine)).catch((error: Error) => {
    throw died(`start failed: ${error.message}`);
  });
  machine.running = running;
  running.exited.then(() => {
    machine.running = undefined;
    // What dies by itself comes back.
    if (machine.ha?.state === "started") haRound(world, machine);
  });
}

function asHardware(machine: MachineRecord): HardwareMachine {
  const order = bootOrder(machine);
  return {
    vmid: machine.vmid,
    name: machine.keys.get("name") ?? `VM-${machine.vmid}`,
    cores: Number(machine.keys.get("cores") ?? 1) * Number(machine.keys.get("sockets") ?? 1),
    memoryMebibytes: Number(machine.keys.get("memory") ?? 512),
    isUefi: machine.keys.get("bios") === "ovmf",
    disks: [...machine.keys].flatMap(([key, value]) => {
      const volume = isDiskKey(key) ? volumeOf(key, value) : undefined;
      if (volume === undefined) return [];
      const serial = parseProperties(key.replace(/\d+$/, ""), value).pairs?.get("serial");
      return [
        {
          ...{ slot: key, volume },
          ...(serial !== undefined && { serial: decodeURIComponent(serial) }),
          ...(order.includes(key) && { bootIndex: 100 + order.indexOf(key) }),
        },
      ];
    }),
  };
}
