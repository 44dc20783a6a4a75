import assert from "node:assert/strict";
import { sha256 } from "../base/hash.ts";
import type { DeployGroup, DesiredCentre, DesiredMachine, DesiredVolume } from "../centre/desired.ts";
import { executePlan } from "../centre/execute.ts";
import type { Hands } from "../centre/hands.ts";
import { observe } from "../centre/observe.ts";
import type { DeployOutcome } from "../centre/outcome.ts";
import { type Plan, type PlanOptions, planDeployment } from "../centre/plan.ts";
import { printShape } from "../centre/shape.ts";
import { actor, type Fault } from "./actor.ts";
import { simulatedHands } from "./simulated-hands.ts";
import { virtualClock } from "./virtual-clock.ts";
import { type Behaviour, emptyWorld, machineKey, type SimulatedMachine, type World, wellBehaved } from "./world.ts";

export interface SmallCentre {
  readonly world: World;
  /** Of the machines as they were given, or as `change` made them. */
  readonly desired: () => DesiredCentre;
  /** What the program says from now on of a machine. */
  readonly change: (path: string, change: Partial<DesiredMachine>) => void;
  /** How a system behaves. */
  readonly behave: (systemHash: string, behaviour: Partial<Behaviour>) => void;
  readonly hands: (holder?: string, faultAt?: (number: number, verb: string) => Fault | undefined) => Hands;
  readonly observe: () => ReturnType<typeof observe>;
  readonly plan: (options?: Partial<PlanOptions>) => Promise<Plan>;
  readonly execute: (plan: Plan, hands?: Hands) => Promise<DeployOutcome>;
  readonly deploy: (options?: Partial<PlanOptions>) => Promise<DeployOutcome>;
  readonly machine: (path: string) => SimulatedMachine;
  /** Lets time pass until this is settled. */
  readonly wait: <T>(promise: Promise<T>) => Promise<T>;
}

/** A simulated centre of a few machines, for tests that tell one story. */
export function smallCentre(
  given: Readonly<Record<string, Partial<DesiredMachine>>>,
  limits: { parallel?: number; parallelPerNode?: number; groups?: Record<string, number> } = {},
): SmallCentre {
  const behaviours = new Map<string, Behaviour>();
  const clock = virtualClock(Date.UTC(2026, 10, 25, 6) / 1000);
  const world = emptyWorld("small", clock, (system) => behaviours.get(system) ?? wellBehaved);
  const machines = new Map(Object.entries(given).map(([path, more]) => [path, plainMachine(path, more)]));
  const desired = (): DesiredCentre => {
    const all = [...machines.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    const groups: Record<string, DeployGroup> = {};
    for (const { group, path, id } of all) {
      if (group === undefined) continue;
      const { members } = groups[group] ?? { members: [] };
      groups[group] = { mayBeDown: limits.groups?.[group] ?? 1, members: [...members, { path, id }] };
    }
    const { parallel = 4, parallelPerNode = 4 } = limits;
    return { name: "small", machines: all, keepGenerations: 2, limits: { parallel, parallelPerNode, groups } };
  };
  let count = 0;
  const hands: SmallCentre["hands"] = (holder = `somebody ${count++}`, faultAt = () => undefined) =>
    simulatedHands(world, actor(world, holder, faultAt));
  const see = (allSnapshots = true) => {
    const { pool, hypervisor } = hands("reader");
    return clock.until(observe(pool, hypervisor, desired(), { allSnapshots }));
  };
  const plan: SmallCentre["plan"] = async (options = {}) =>
    planDeployment(desired(), await see(), { now: clock.now(), ...options });
  const execute: SmallCentre["execute"] = (made, by = hands()) => clock.until(executePlan(made, by));
  return {
    world,
    desired,
    change: (path, change) => {
      const { shape: _, ...machine } = { ...machines.get(path)!, ...change };
      machines.set(path, { ...machine, shape: printShape(machine.spec) });
    },
    behave: (system, behaviour) => void behaviours.set(system, { ...wellBehaved, ...behaviour }),
    hands,
    observe: () => see(),
    plan,
    execute,
    deploy: async (options) => execute(await plan(options)),
    machine: (path) => world.machines.get(machineKey(machines.get(path)!.id))!,
    wait: clock.until,
  };
}

/** A small centre whose machines have been deployed once. */
export async function deployed(...given: Parameters<typeof smallCentre>): Promise<SmallCentre> {
  const centre = smallCentre(...given);
  const outcome = await centre.deploy();
  assert.equal(outcome.result, "done", JSON.stringify(outcome.machines));
  return centre;
}

/** The hash of a machine's system; version 1 is what `smallCentre` begins with. */
export function systemVersion(path: string, number: number): string {
  return sha256(`${path} ${number}`);
}

/** A volume for the machine `web`. */
export const stateVolume: DesiredVolume = {
  name: "state",
  image: "web-state",
  size: 2 ** 30,
  onRollBack: "restore",
  keepSnapshots: 3,
};

export function plainMachine(path: string, more: Partial<DesiredMachine> = {}): DesiredMachine {
  const id = more.id ?? { name: path.replaceAll("/", "-") };
  const spec = more.spec ?? {
    id,
    architecture: "amd64",
    cores: 1,
    memoryMebibytes: 1024,
    firmware: "bios" as const,
    nics: [{ network: "user", mac: "52:54:00:00:00:01" }],
  };
  return {
    path,
    id,
    systemHash: sha256(`${path} 1`),
    spec,
    shape: printShape(spec),
    rootSlot: "scsi0",
    diskSize: 32 * 2 ** 30,
    volumes: [],
    wave: 1,
    shutdownSeconds: 60,
    mayCutPower: true,
    bootSeconds: 120,
    drain: [],
    checks: [],
    ...more,
  };
}
