import { MesoError, type Problem } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { parseSize } from "../base/size.ts";
import type { MachineId, MachineSpec } from "../hypervisors/hypervisor.ts";
import { type Centre, type Machine, machineName } from "../language/centre.ts";
import type { ImageName } from "../pools/pool.ts";
import type { ManifestCheck } from "../system/manifest.ts";
import { candidateName, volumeImageName } from "./image-names.ts";
import { printShape } from "./shape.ts";

/** A centre as its program wants it: plain data, so that plans can be shown, hashed and executed elsewhere. */
export interface DesiredCentre {
  readonly name: string;
  /** Sorted by path. */
  readonly machines: readonly DesiredMachine[];
  readonly limits: DeployLimits;
  /** Generations of a root that are kept beside those in use. */
  readonly keepGenerations: number;
}

export interface DeployLimits {
  /** Machines taken down at once: in all, and on each node of the hypervisor. */
  readonly parallel: number;
  readonly parallelPerNode: number;
  /** Of each redundancy group: how many of its machines may be down, and all machines in it, by path. */
  readonly groups: Readonly<Record<string, DeployGroup>>;
}

export interface DeployGroup {
  readonly mayBeDown: number;
  /** Sorted by path. */
  readonly members: readonly { readonly path: string; readonly id: MachineId }[];
}

export interface DesiredMachine {
  readonly path: string;
  readonly id: MachineId;
  readonly systemHash: string;
  /** Known when the disk has been composed already. */
  readonly imageHash?: string;
  readonly spec: Omit<MachineSpec, "description">;
  /** What of the spec is written on a root: see `printShape`. */
  readonly shape: string;
  readonly rootSlot: string;
  /** Bytes. */
  readonly diskSize: number;
  /** Sorted by name. */
  readonly volumes: readonly DesiredVolume[];
  readonly group?: string;
  readonly wave: number;
  readonly shutdownSeconds: number;
  readonly mayCutPower: boolean;
  readonly bootSeconds: number;
  readonly drain: readonly DesiredDrain[];
  readonly checks: readonly ManifestCheck[];
  /** Names of the secrets that it is given when it starts; absent when there are none. */
  readonly secrets?: readonly string[];
}

export interface DesiredVolume {
  /** In the program; the disk's serial too. */
  readonly name: string;
  /** Under which it is made. An adopted one may be called otherwise: what is written on it counts. */
  readonly image: ImageName;
  /** Bytes. */
  readonly size: number;
  readonly onRollBack: "keep" | "restore";
  readonly keepSnapshots: number;
}

export interface DesiredDrain {
  /** Path of the machine that the commands run on, and how the hypervisor knows it. */
  readonly on: string;
  readonly id: MachineId;
  readonly title: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly deadlineSeconds: number;
}

/** What preparing a machine's system gave. */
export interface SystemFacts {
  readonly systemHash: string;
  readonly imageHash?: string;
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  readonly checks: readonly ManifestCheck[];
  /** Names of those that it needs. */
  readonly secrets?: readonly string[];
}

/**
 * The centre as plain data.
 * @param systems by path, one for every machine
 * @throws MesoError with every name that two disks would have, every address that two machines would have, and every
 * drain hook on a machine that is not there.
 */
export function desiredCentre(centre: Centre, systems: ReadonlyMap<string, SystemFacts>): DesiredCentre {
  const paths = Object.keys(centre.machines);
  const problems = [...volumeNameProblems(centre), ...drainProblems(centre)];
  if (problems.length > 0) throw new MesoError(problems);
  const machines = sortedBy(paths, (path) => path).map((path) => desiredMachine(centre, path, systems.get(path)!));
  const clashes = [...sameImages(machines), ...sameAddresses(machines)];
  if (clashes.length > 0) throw new MesoError(clashes);
  return {
    name: centre.name,
    machines,
    limits: { parallel: centre.parallel, parallelPerNode: centre.parallelPerNode, groups: groupsOf(centre) },
    keepGenerations: centre.keepGenerations,
  };
}

export function desiredMachine(centre: Centre, path: string, system: SystemFacts): DesiredMachine {
  const machine = centre.machines[path]!;
  const id = machineId(path, machine);
  const owner = { path, ...(machine.vmid !== undefined && { vmid: machine.vmid }) };
  const spec = {
    id,
    architecture: system.architecture,
    cores: machine.cores,
    memoryMebibytes: Math.ceil(parseSize(machine.memory) / 2 ** 20),
    firmware: machine.firmware,
    nics: machine.nics.map(({ network, mac, tag, forwards }, index) => ({
      network,
      mac: mac?.toLowerCase() ?? stableMac(centre.name, path, index),
      ...(tag !== undefined && { tag }),
      ...(Object.keys(forwards).length > 0 && { forwards }),
    })),
    ...(machine.node !== undefined && { node: machine.node }),
  };
  return {
    path,
    id,
    systemHash: system.systemHash,
    ...(system.imageHash !== undefined && { imageHash: system.imageHash }),
    spec,
    shape: printShape(spec),
    rootSlot: machine.rootSlot,
    diskSize: parseSize(machine.diskSize),
    volumes: sortedBy(Object.keys(machine.volumes), (name) => name).map((name) => {
      const { size, onRollBack, keepSnapshots } = machine.volumes[name]!;
      return { name, image: volumeImageName(owner, name), size: parseSize(size), onRollBack, keepSnapshots };
    }),
    ...(machine.group !== undefined && { group: machine.group }),
    wave: machine.wave,
    shutdownSeconds: machine.shutdownSeconds,
    mayCutPower: machine.mayCutPower,
    bootSeconds: machine.bootSeconds,
    drain: machine.drain.map(({ on, title, before, after, deadlineSeconds }) => ({
      on,
      id: machineId(on, centre.machines[on]!),
      title,
      before,
      after,
      deadlineSeconds,
    })),
    checks: system.checks,
    ...(system.secrets && system.secrets.length > 0 && { secrets: system.secrets }),
  };
}

/** The name that the hypervisor shows, and its number where it has one. */
export function machineId(path: string, { vmid }: Pick<Machine, "vmid">): MachineId {
  return { name: machineName(path), ...(vmid !== undefined && { vmid }) };
}

/** An address that stays as long as the machine's name does: 52:54 is for locally administered ones. */
function stableMac(centre: string, path: string, index: number): string {
  const digits = sha256(`${centre}/${path}#${index}`).slice(0, 8);
  return `52:54:${digits.match(/../g)!.join(":")}`;
}

function groupsOf(centre: Centre): DeployLimits["groups"] {
  const groups: Record<string, DeployGroup> = {};
  for (const [path, machine] of sortedBy(Object.entries(centre.machines), ([path]) => path)) {
    if (machine.group === undefined) continue;
    const { mayBeDown, members } = groups[machine.group] ?? {
      mayBeDown: centre.groups[machine.group]?.mayBeDown ?? 1,
      members: [],
    };
    groups[machine.group] = { mayBeDown, members: [...members, { path, id: machineId(path, machine) }] };
  }
  return groups;
}

/** A serial has 20 characters at most (virtio's limit), and `root-…` would read as a generation. */
function volumeNameProblems({ machines }: Centre): Problem[] {
  return Object.entries(machines).flatMap(([path, { volumes }]) =>
    Object.keys(volumes)
      .filter((name) => !/^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/.test(name) || /^root(-|$)|-trial$/.test(name))
      .map((name) => ({
        code: "wrong-volume-name",
        field: `machines[${JSON.stringify(path)}].volumes`,
        what: `found the volume ${JSON.stringify(name)}`,
        expected: "small letters, digits and inner hyphens, 20 at most; not root, root-… or …-trial",
      })),
  );
}

function drainProblems({ machines }: Centre): Problem[] {
  return Object.entries(machines).flatMap(([path, { drain }]) =>
    drain
      .filter(({ on }) => !Object.hasOwn(machines, on) || on === path)
      .map(({ on, title }) => ({
        code: "wrong-drain-machine",
        field: `machines[${JSON.stringify(path)}].drain`,
        what: on === path ? `${title} runs on the machine itself, which goes down` : `${title} runs on ${on}`,
        expected: "the path of another machine of the centre",
      })),
  );
}

/** Names of disks are made by joining words with hyphens: `a` with `b-c` and `a-b` with `c` give the same. */
function sameImages(machines: readonly DesiredMachine[]): Problem[] {
  const uses = machines.flatMap(({ path, volumes, id }) => [
    { name: `${id.vmid === undefined ? id.name : `vm-${id.vmid}`}-root`, what: `roots of ${path}` },
    { name: candidateName({ path }), what: `the candidate of ${path}` },
    ...volumes.map(({ name, image }) => ({ name: image, what: `volume ${name} of ${path}` })),
  ]);
  return twice(uses).map(({ name, first, second }) => ({
    code: "same-image-name",
    field: "machines",
    what: `${first} and ${second} would both be called ${name}`,
    hint: "rename one of the machines or volumes",
  }));
}

function sameAddresses(machines: readonly DesiredMachine[]): Problem[] {
  const uses = machines.flatMap(({ path, spec }) =>
    spec.nics.map(({ network, mac }, index) => ({ name: `${mac} on ${network}`, what: `nic ${index} of ${path}` })),
  );
  return twice(uses).map(({ name, first, second }) => ({
    code: "same-mac",
    field: "machines",
    what: `${first} and ${second} both have the address ${name}`,
    hint: "write another mac on one of them",
  }));
}

function twice(uses: readonly { readonly name: string; readonly what: string }[]) {
  const seen = new Map<string, string>();
  return uses.flatMap(({ name, what }) => {
    const first = seen.get(name);
    seen.set(name, what);
    return first === undefined ? [] : [{ name, first, second: what }];
  });
}
