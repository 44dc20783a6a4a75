import { sha256 } from "../base/hash.ts";
import type { DeployGroup, DesiredCentre, DesiredMachine, DesiredVolume } from "../centre/desired.ts";
import { rootName, volumeImageName } from "../centre/image-names.ts";
import { printShape } from "../centre/shape.ts";
import type { ImageAbout } from "../pools/about.ts";
import { type Random, seededRandom } from "./random.ts";
import { systemAbout } from "./simulated-hands.ts";
import { newMachine } from "./simulated-hypervisor.ts";
import { virtualClock } from "./virtual-clock.ts";
import {
  type Behaviour,
  emptyWorld,
  machineKey,
  type SimulatedImage,
  simulatedVolume,
  type World,
  wellBehaved,
} from "./world.ts";

/** A centre in some state, and a program that wants it otherwise; all of it drawn from a seed. */
export interface Story {
  readonly world: World;
  readonly desired: DesiredCentre;
  readonly random: Random;
  /** What each machine was at the beginning. */
  readonly beginnings: ReadonlyMap<string, Beginning>;
}

export type Beginning = "absent" | "old" | "current" | "off" | "foreign" | "adopted" | "other-shape";

const epoch = Date.UTC(2026, 10, 25, 6) / 1000;
const GiB = 2 ** 30;

export function story(seed: number): Story {
  const random = seededRandom(seed);
  const behaviours = new Map<string, Behaviour>();
  const world = emptyWorld("sim", virtualClock(epoch), (system) => behaviours.get(system) ?? wellBehaved);
  const count = 2 + random.below(5);
  const alone = Array.from({ length: count }, (_, index) => desiredMachine(random, index));
  const machines = alone.map((machine) => withDrain(machine, random.pick(alone), random));
  const beginnings = new Map<string, Beginning>();
  for (const machine of machines) {
    const beginning = random.pick(beginningsDrawn);
    beginnings.set(machine.path, beginning);
    setUp(world, machine, beginning, random);
    const runsIt = beginning === "current" || beginning === "other-shape";
    if (!runsIt && random.chance(0.25)) behaviours.set(machine.systemHash, badBehaviour(random));
    if (random.chance(0.08)) behaviours.set(oldSystem(machine), { ...wellBehaved, obeys: false });
  }
  world.snapshotsLive = random.chance(0.5);
  if (random.chance(0.05)) world.freeBytes = random.below(count * (4 << 20));
  const desired: DesiredCentre = {
    name: "sim",
    machines,
    keepGenerations: 2,
    limits: { parallel: 1 + random.below(4), parallelPerNode: 1 + random.below(3), groups: groupsOf(machines, random) },
  };
  return { world, desired, random, beginnings };
}

const beginningsDrawn: readonly Beginning[] = [
  ...Array<Beginning>(8).fill("old"),
  "absent",
  "absent",
  "current",
  "current",
  "off",
  "foreign",
  "adopted",
  "other-shape",
];

function badBehaviour(random: Random): Behaviour {
  return random.pick([
    { ...wellBehaved, passesTrial: false },
    { ...wellBehaved, passesChecks: false },
    { ...wellBehaved, boots: false },
    { ...wellBehaved, obeys: false },
    { ...wellBehaved, bootSeconds: 50, shutdownSeconds: 59 },
  ]);
}

export function oldSystem({ path }: { readonly path: string }): string {
  return sha256(`${path} old`);
}

function desiredMachine(random: Random, index: number): DesiredMachine {
  const path = random.chance(0.3) ? `rack/m${index}` : `m${index}`;
  const name = path.replace("/", "-");
  const vmid = random.chance(0.5) ? 100 + index : undefined;
  const id = { name, ...(vmid !== undefined && { vmid }) };
  const owner = { path, ...(vmid !== undefined && { vmid }) };
  const volumes: DesiredVolume[] = ["data", "state"]
    .filter(() => random.chance(0.5))
    .map((volume) => ({
      name: volume,
      image: volumeImageName(owner, volume),
      size: GiB,
      onRollBack: random.pick(["keep", "restore"]),
      keepSnapshots: 1 + random.below(3),
    }));
  const spec = {
    id,
    architecture: "amd64",
    cores: 2,
    memoryMebibytes: 1024,
    firmware: "bios" as const,
    nics: [{ network: "user", mac: `52:54:00:00:00:0${index}` }],
    node: `node${random.below(2)}`,
  };
  return {
    path,
    id,
    systemHash: sha256(`${path} new`),
    spec,
    shape: printShape(spec),
    rootSlot: "scsi0",
    diskSize: 32 * GiB,
    volumes,
    ...(random.chance(0.6) && { group: random.pick(["dns", "web"]) }),
    wave: random.below(3),
    shutdownSeconds: 60,
    mayCutPower: random.chance(0.85),
    bootSeconds: 60,
    drain: [],
    checks: [],
  };
}

/** Some are drained through another machine. */
function withDrain(machine: DesiredMachine, host: DesiredMachine, random: Random): DesiredMachine {
  if (host === machine || !random.chance(0.25)) return machine;
  const words = { title: `weight of ${machine.path}`, before: ["0", machine.path], after: ["1", machine.path] };
  return { ...machine, drain: [{ on: host.path, id: host.id, ...words, deadlineSeconds: 30 }] };
}

function groupsOf(machines: readonly DesiredMachine[], random: Random): Record<string, DeployGroup> {
  return Object.fromEntries(
    ["dns", "web"].map((name) => {
      const members = machines.filter(({ group }) => group === name).map(({ path, id }) => ({ path, id }));
      return [name, { mayBeDown: 1 + random.below(2), members }];
    }),
  );
}

function setUp(world: World, machine: DesiredMachine, beginning: Beginning, random: Random): void {
  if (beginning === "absent") return;
  const { path, id, rootSlot } = machine;
  const owner = { path, ...(id.vmid !== undefined && { vmid: id.vmid }) };
  const stamp = "202611200000";
  const root = beginning === "foreign" || beginning === "adopted" ? `vm-${id.name}-disk-0` : rootName(owner, stamp);
  const isCurrent = beginning === "current" || beginning === "other-shape";
  const system = isCurrent ? machine.systemHash : oldSystem(machine);
  const simulated = newMachine({ ...machine.spec, description: "" });
  const image = (content: string, about: ImageAbout | undefined): SimulatedImage => ({
    size: about?.role === "volume" ? GiB : machine.diskSize,
    about,
    content: [content],
    snapshots: new Map(),
  });
  const about = { formatVersion: 1 as const, centre: "sim", machine: path, stamp };
  const verdict = { passed: true, at: epoch - 1000, by: "before", failed: [], checks: 3 };
  const rootAbout: ImageAbout = {
    ...about,
    role: "root",
    verdict,
    system: systemAbout(system, path, epoch - 1000),
    shape: beginning === "other-shape" ? machine.shape.replace('"cores":2', '"cores":1') : machine.shape,
  };
  const adopted: ImageAbout = { ...about, role: "root" };
  const abouts = { foreign: undefined, adopted } as const;
  const written = beginning === "foreign" || beginning === "adopted" ? abouts[beginning] : rootAbout;
  world.images.set(root, image(system, written));
  simulated.slots.set(rootSlot, { volume: simulatedVolume(root), options: "discard=on,iothread=1" });
  machine.volumes.forEach(({ name, image: volume }, index) => {
    if (random.chance(0.3)) return;
    world.images.set(volume, image("first", { ...about, role: "volume", volume: name }));
    simulated.slots.set(`scsi${index + 3}`, { volume: simulatedVolume(volume), options: `serial=${name},backup=1` });
  });
  simulated.power = beginning === "off" ? "off" : "on";
  simulated.guest = beginning === "off" ? "down" : "up";
  world.machines.set(machineKey(id), simulated);
}
