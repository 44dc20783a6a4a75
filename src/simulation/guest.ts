import { failure } from "../base/error.ts";
import { type Behaviour, imageIn, machineKey, type SimulatedMachine, tell, type World, wellBehaved } from "./world.ts";

/** Starts a machine: what its root holds then boots, in its own time, or does not. Already on is fine. */
export function start(world: World, machine: SimulatedMachine, by: string | undefined): void {
  if (machine.power === "on") return;
  if (machine.power !== "off" && machine.power !== "crashed") {
    throw failure("machine-locked", `${machine.id.name} is ${machine.power}`);
  }
  const missing = [...machine.slots].filter(([slot]) => {
    const image = imageIn(machine, slot);
    return image !== undefined && !world.images.has(image);
  });
  if (missing.length > 0) throw failure("task-failed", `${missing[0]![0]} holds a disk that is not there`);
  machine.power = "on";
  machine.guest = "booting";
  const start = ++machine.starts;
  const { bootSeconds, boots } = behaviourOf(world, machine);
  world.clock.after(bootSeconds, () => {
    // Who is asked to shut down while it boots, boots first.
    const isRunning = machine.power === "on" || machine.power === "changing";
    if (machine.starts !== start || !isRunning) return;
    machine.guest = boots ? "up" : "dead";
    if (boots) writeToVolumes(world, machine);
    tell(world, { verb: boots ? "booted" : "boot-failed", by, machine: machineKey(machine.id) });
  });
}

/** Asks the system to shut down; tells whether it is off, or that the deadline is over and it runs on. */
export function shutDown(
  world: World,
  machine: SimulatedMachine,
  deadlineSeconds: number,
  then: (isDown: boolean) => void,
): void {
  const { obeys, shutdownSeconds } = behaviourOf(world, machine);
  const willEnd = obeys && machine.guest === "up" && shutdownSeconds <= deadlineSeconds;
  machine.power = "changing";
  world.clock.after(willEnd ? shutdownSeconds : deadlineSeconds, () => {
    if (machine.power !== "changing") return then(machine.power === "off");
    machine.power = "on";
    if (willEnd) cutPower(world, machine);
    else tell(world, { verb: "runs-on", by: undefined, machine: machineKey(machine.id) });
    then(willEnd);
  });
}

export function cutPower(world: World, machine: SimulatedMachine): void {
  machine.power = "off";
  machine.guest = "down";
  tell(world, { verb: "went-off", by: undefined, machine: machineKey(machine.id) });
}

/** The system that a machine's root holds. */
export function systemOf(world: World, machine: SimulatedMachine): string | undefined {
  const slot = rootSlotOf(world, machine);
  const image = slot === undefined ? undefined : imageIn(machine, slot);
  return image === undefined ? undefined : world.images.get(image)?.content[0];
}

export function behaviourOf(world: World, machine: SimulatedMachine): Behaviour {
  const system = systemOf(world, machine);
  if (system !== undefined) return world.behaviour(system, machineKey(machine.id));
  // Without a root of the pool there is nothing to boot, or something that we know nothing of.
  return { ...wellBehaved, boots: machine.slots.size > 0 };
}

/** The first slot that holds no volume: machines boot from it. */
function rootSlotOf(world: World, machine: SimulatedMachine): string | undefined {
  return [...machine.slots.keys()].find((slot) => {
    const image = imageIn(machine, slot);
    return image === undefined || world.images.get(image)?.about?.role !== "volume";
  });
}

/** Every system leaves its mark on the volumes that it mounts. */
function writeToVolumes(world: World, machine: SimulatedMachine): void {
  const system = systemOf(world, machine) ?? "unknown";
  for (const slot of machine.slots.keys()) {
    const name = imageIn(machine, slot);
    const image = name === undefined ? undefined : world.images.get(name);
    if (name === undefined || image?.about?.role !== "volume") continue;
    world.images.set(name, { ...image, content: [...image.content, system] });
  }
}
