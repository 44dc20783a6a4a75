import assert from "node:assert/strict";
import type { DesiredMachine } from "../centre/desired.ts";
import { parseIntent } from "../centre/intent.ts";
import type { ImageName } from "../pools/pool.ts";
import { behaviourOf } from "./guest.ts";
import type { Story } from "./story.testing.ts";
import { imageIn, machineKey, type SimulatedMachine, type WorldEvent } from "./world.ts";

/** Who may change things: living executors, by holder. */
export interface Living {
  readonly isAlive: (holder: string) => boolean;
}

/**
 * What must hold at every moment, whatever fails. Violations are collected, for they happen inside calls of the executor
 * that would take them for failures of the world.
 */
export function watchInvariants(story: Story, living: Living): readonly string[] {
  const { world, desired } = story;
  const violations: string[] = [];
  const machines = desired.machines;
  const found = (machine: DesiredMachine) => world.machines.get(machineKey(machine.id));
  const firstVolumes = new Map(machines.flatMap((machine) => volumeSlots(story, found(machine))));
  const contents = new Map<ImageName, readonly string[]>();
  /** Machines that an executor has taken down and that are not up again. */
  const downByUs = new Set<string>();
  const seeContents = () => {
    for (const [name, { about, content }] of world.images) if (about?.role === "volume") contents.set(name, content);
  };
  seeContents();

  const check = (event: WorldEvent) => {
    const isOurs = event.by !== undefined && living.isAlive(event.by);
    if (isOurs && !untouched.has(event.verb)) {
      const { lease } = world;
      if (lease?.holder !== event.by) violations.push(`${event.verb} by ${event.by} without the lease`);
    }
    const machine = machines.find(({ id }) => machineKey(id) === event.machine);
    if (machine && event.verb === "attach") checkAttached(machine);
    // A system that is up and fails its checks serves nobody.
    const isUp =
      event.verb === "runs-on" ||
      (event.verb === "booted" && machine && behaviourOf(world, found(machine)!).passesChecks);
    if (machine && isUp) downByUs.delete(machine.path);
    if (machine && event.by !== undefined) checkPeers(machine, event);
    checkVolumes(event);
    for (const one of machines) checkBootable(one, event);
    seeContents();
  };

  const checkAttached = (machine: DesiredMachine) => {
    const name = imageIn(found(machine)!, machine.rootSlot);
    const about = name === undefined ? undefined : world.images.get(name)?.about;
    if (name === undefined) return;
    if (about?.role !== "root") violations.push(`${machine.path} got ${name}, which is no root`);
    const isVerified = about?.verdict?.passed || about?.forced !== undefined || about?.system === undefined;
    if (!isVerified) violations.push(`${machine.path} got ${name}, which is not verified`);
  };

  const checkPeers = (machine: DesiredMachine, { verb }: WorldEvent) => {
    if (verb !== "power-off" || found(machine)?.guest !== "up") return;
    const group = machine.group === undefined ? undefined : desired.limits.groups[machine.group];
    const others = (group?.members ?? []).filter(({ path }) => path !== machine.path && downByUs.has(path));
    downByUs.add(machine.path);
    if (group && others.length >= group.mayBeDown) {
      violations.push(`${machine.path} was taken down while ${others.map(({ path }) => path).join(", ")} are`);
    }
  };

  const checkVolumes = ({ verb, image }: WorldEvent) => {
    for (const [name, before] of contents) {
      const now = world.images.get(name)?.content;
      if (!now) {
        violations.push(`volume ${name} is lost by ${verb}`);
        continue;
      }
      if (now.length >= before.length && before.every((mark, index) => now[index] === mark)) continue;
      const machine = machines.find(({ volumes }) => volumes.some((volume) => volume.image === name))!;
      const wanted = machine.volumes.find((volume) => volume.image === name)!;
      const isRestore = verb === "restore" && image === name && wanted.onRollBack === "restore";
      const isAhead = now.every((mark, index) => before[index] === mark);
      const dropped = before.slice(now.length);
      const root = attachedRoot(machine);
      // What the failed system wrote may go; nothing that another one has written.
      if (!isRestore || !isAhead || dropped.some((mark) => mark !== root?.content[0])) {
        violations.push(`volume ${name} lost ${dropped.length} writes by ${verb}`);
      }
    }
    for (const [name, place] of firstVolumes) {
      const slot = world.machines.get(place.machine)?.slots.get(place.slot);
      if (slot?.volume !== `simulated:${name}` || slot.options !== place.options) {
        violations.push(`volume ${name} is not in ${place.slot} of ${place.machine} as it was`);
      }
    }
  };

  const attachedRoot = (machine: DesiredMachine) => {
    const simulated = found(machine);
    const name = simulated && imageIn(simulated, machine.rootSlot);
    return name === undefined ? undefined : world.images.get(name);
  };

  const checkBootable = (machine: DesiredMachine, { verb }: WorldEvent) => {
    if (!found(machine) || story.beginnings.get(machine.path) === "absent") return;
    const root = attachedRoot(machine);
    if (!root) return void violations.push(`${machine.path} has no root after ${verb}`);
    const intent = root.about?.intent === undefined ? undefined : parseIntent(root.about.intent);
    if (root.about?.intent === undefined) return;
    if (!intent?.from || !world.images.has(intent.from))
      violations.push(`${machine.path} has no way back after ${verb}`);
  };

  world.watchers.push(check);
  return violations;
}

/** A machine that was there has its volumes in the same slots, with the same options, for ever. */
function volumeSlots({ world }: Story, machine: SimulatedMachine | undefined) {
  return [...(machine?.slots ?? [])].flatMap(([slot, { options }]) => {
    const name = imageIn(machine!, slot);
    const isVolume = name !== undefined && world.images.get(name)?.about?.role === "volume";
    return isVolume ? [[name, { machine: machineKey(machine!.id), slot, options }] as const] : [];
  });
}

/** Calls that change nothing which the lease protects. */
const untouched = new Set(["take-lease", "release-lease", "journal", "booted", "boot-failed"]);

export function assertNone(violations: readonly string[]): void {
  assert.deepEqual(violations, []);
}
