import { failure } from "../base/error.ts";
import type { GuestAgent } from "../hypervisors/guest-agent.ts";
import type {
  HypervisorDriver,
  MachineId,
  MachineSpec,
  MachineState,
  PowerOffOptions,
} from "../hypervisors/hypervisor.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { Actor } from "./actor.ts";
import { cutPower, shutDown, start } from "./guest.ts";
import { machineKey, openersOf, type SimulatedMachine, simulatedVolume, tell, type World } from "./world.ts";

/** Seconds: what a request to a hypervisor's daemon takes. */
const seconds = { read: 0.05, change: 0.3 };

/** A hypervisor whose machines have a state and no bytes. */
export function simulatedHypervisor(world: World, actor: Actor): HypervisorDriver {
  const read = <T>(verb: string, effect: () => T) =>
    actor.call({ verb, of: "hypervisor", seconds: seconds.read, effect });
  const change = <T>(verb: string, id: MachineId, effect: () => T) =>
    actor.call({
      verb,
      of: "hypervisor",
      seconds: seconds.change,
      effect: () => {
        const result = effect();
        tell(world, { verb, by: actor.holder, machine: machineKey(id) });
        return result;
      },
    });
  const find = (id: MachineId) => {
    const machine = world.machines.get(machineKey(id));
    if (!machine) throw failure("no-machine", `the simulated hypervisor has no ${id.name}`);
    return machine;
  };
  return {
    kind: "qemu",
    title: "the simulated hypervisor",
    check: () => read("check", () => []),
    list: () => read("list", () => [...world.machines.values()].map(stateOf)),
    inspect: (id) =>
      read("inspect", () => {
        const machine = world.machines.get(machineKey(id));
        return machine && stateOf(machine);
      }),
    define: (spec) => change("define", spec.id, () => define(world, spec)),
    giveCredentials: (id, credentials, { keepsOthers = false } = {}) =>
      read("give-credentials", () => {
        const machine = find(id);
        machine.credentials = new Map([...(keepsOthers ? machine.credentials : []), ...credentials]);
      }),
    powerOn: (id) => change("power-on", id, () => start(world, find(id), actor.holder)),
    powerOff: async (id, options) => {
      const ended = await change("power-off", id, () => begin(world, find(id), options));
      // The hypervisor's task goes on whether somebody waits for it or not.
      await actor.sleep(0);
      return untilOff(actor, ended);
    },
    attach: (id, slot, disk, expected, options) =>
      change("attach", id, () => attach(world, find(id), slot, disk, expected, options?.serial)),
    volumeName,
    agent: (id) => simulatedAgent(world, actor, id),
    console: () => undefined,
    consoleCommand: () => undefined,
    remove: (id) => change("remove", id, () => void world.machines.delete(machineKey(id))),
  };
}

export function newMachine(spec: MachineSpec): SimulatedMachine {
  return {
    id: spec.id,
    spec,
    power: "off",
    guest: "down",
    slots: new Map(),
    staged: new Map(),
    version: "1",
    hasAgent: true,
    node: spec.node,
    managedBy: undefined,
    snapshots: [],
    starts: 0,
    credentials: new Map(),
    commands: [],
  };
}

export function nextVersion(version: string): string {
  const [, name, count] = /^(.*?)(?:\+(\d+))?$/s.exec(version)!;
  return `${name}+${Number(count ?? 0) + 1}`;
}

/** A power-off as the hypervisor does it: by itself, to the end. */
interface Ending {
  result: "graceful" | "forced" | "was-off" | undefined;
  hasGivenUp: boolean;
}

function begin(world: World, machine: SimulatedMachine, options: PowerOffOptions): Ending {
  if (machine.power === "changing") throw failure("machine-locked", `${machine.id.name} is being shut down`);
  const ending: Ending = { result: undefined, hasGivenUp: false };
  if (machine.power === "off") return { ...ending, result: "was-off" };
  const cut = () => {
    cutPower(world, machine);
    ending.result = "forced";
  };
  if (machine.power === "crashed" || !options.graceful) {
    if (!options.force) throw failure("power-off-timeout", `${machine.id.name} does not shut down by itself`);
    cut();
    return ending;
  }
  shutDown(world, machine, options.deadlineSeconds, (isDown) => {
    if (isDown) ending.result = "graceful";
    else if (options.force) cut();
    else ending.hasGivenUp = true;
  });
  return ending;
}

async function untilOff(actor: Actor, ending: Ending) {
  for (;;) {
    if (ending.result) return ending.result;
    if (ending.hasGivenUp) throw failure("power-off-timeout", "the simulated machine does not shut down");
    await actor.sleep(0.5);
  }
}

function define(world: World, spec: MachineSpec): void {
  const existing = world.machines.get(machineKey(spec.id));
  if (!existing) {
    world.machines.set(machineKey(spec.id), newMachine(spec));
    return;
  }
  if (existing.power !== "off") throw failure("conflict", `${spec.id.name} is ${existing.power}`);
  existing.spec = spec;
  existing.version = nextVersion(existing.version);
}

function attach(
  world: World,
  machine: SimulatedMachine,
  slot: string,
  disk: DiskLocation,
  expected: string,
  serial: string | undefined,
): string {
  const volume = volumeName(disk);
  const held = machine.slots.get(slot);
  if (held?.volume === volume) return machine.version;
  if (machine.version !== expected) throw failure("conflict", `${machine.id.name} has been changed`);
  if (machine.power !== "off") throw failure("conflict", `${machine.id.name} is ${machine.power}`);
  const image = volume.slice("simulated:".length);
  if (!world.images.has(image)) throw failure("invalid-setting", `${image} is not in the pool`);
  const openers = openersOf(world, image);
  if (openers.length > 0) throw failure("disk-in-use", `${image} is open: ${openers.join(", ")}`);
  // Options of a slot stay as they are, whatever disk is in it.
  machine.slots.set(slot, { volume, options: held?.options ?? `serial=${serial ?? ""}` });
  machine.version = nextVersion(machine.version);
  return machine.version;
}

function volumeName(disk: DiskLocation): string {
  return simulatedVolume(disk.kind === "file" ? disk.path.split("/").at(-1)! : disk.image);
}

function stateOf(machine: SimulatedMachine): MachineState {
  const { id, power, slots, staged, version, hasAgent, managedBy, node, snapshots } = machine;
  return {
    id,
    power,
    version,
    slots: new Map([...slots].map(([slot, { volume, options }]) => [slot, { volume, raw: `${volume},${options}` }])),
    staged: new Map(staged),
    detached: [],
    ...(power === "changing" && { busy: "a task of the hypervisor" }),
    ...(managedBy && { managedBy }),
    hasAgent,
    ...(node !== undefined && { node }),
    snapshots,
  };
}

/** Answers when the system inside is up; commands of drain hooks succeed and are remembered. */
function simulatedAgent(world: World, actor: Actor, id: MachineId): GuestAgent {
  const machine = () => {
    const found = world.machines.get(machineKey(id));
    if (found?.power !== "on" || found.guest !== "up") {
      throw failure("agent-silent", `the agent of ${id.name} does not answer`);
    }
    return found;
  };
  const ask = <T>(verb: string, effect: () => T, took = seconds.read) =>
    actor.call({ verb, of: "hypervisor", seconds: took, effect });
  return {
    ping: () => ask("ping", () => void machine()),
    exec: (argv) =>
      ask(
        "exec",
        () => {
          machine().commands.push(argv);
          return { exitCode: 0, stdout: "", stderr: "" };
        },
        world.commandSeconds,
      ),
    readFile: () =>
      ask("read-file", () => {
        machine();
        return Buffer.alloc(0);
      }),
    writeFile: () => ask("write-file", () => void machine()),
    shutdown: () => ask("shutdown", () => void machine()),
  };
}
