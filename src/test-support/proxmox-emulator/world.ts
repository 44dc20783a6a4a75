import type { Identity } from "./access.ts";
import type { Hardware } from "./hardware.ts";
import type { MachineRecord } from "./machine-record.ts";
import { died, Refusal } from "./refusal.ts";
import { type EmulatedStorage, parseVolume } from "./storages.ts";
import type { Tasks } from "./tasks.ts";
import type { Parameters } from "./validate.ts";

/** The emulated cluster's state, shared by all its nodes. */
export interface World {
  readonly version: 8 | 9;
  readonly nodes: readonly EmulatedNode[];
  readonly machines: Map<number, MachineRecord>;
  readonly storages: Readonly<Record<string, EmulatedStorage>>;
  readonly hardware: Hardware;
  readonly tasks: Tasks;
  readonly seconds: WorldSeconds;
}

export interface EmulatedNode {
  readonly name: string;
  readonly fingerprint: string;
  isUp: boolean;
}

/** What takes time in a real cluster. */
export interface WorldSeconds {
  /** Until a second operation gives up on a machine's lock file: 10. */
  readonly lock: number;
  /** Until an agent that does not answer counts as not running: 3. */
  readonly agent: number;
  /** Until the proxy gives up on a reply that it cannot read: 5. */
  readonly lostReply: number;
  /** Between rounds of the HA manager: 10. */
  readonly ha: number;
}

/** One request that has passed the schema and the permissions of its operation. */
export interface Call {
  readonly world: World;
  readonly identity: Identity;
  readonly node: string;
  readonly path: Readonly<Record<string, string>>;
  readonly parameters: Parameters;
}

export type Operation = (call: Call) => Promise<unknown>;

/** The machine a call is about, on the node it names. */
export function machineOf({ world, path, node }: Call): MachineRecord {
  const machine = world.machines.get(Number(path.vmid));
  if (machine && machine.node === node) return machine;
  throw died(`Configuration file 'nodes/${node}/qemu-server/${path.vmid}.conf' does not exist`);
}

export function storageOf(world: World, name: string): EmulatedStorage {
  const storage = world.storages[name];
  if (storage) return storage;
  throw died(`storage '${name}' does not exist`);
}

/** Bytes of a volume. @throws Refusal when it cannot be attached. */
export async function volumeSize(world: World, volume: string): Promise<number> {
  const { storage, image } = parseVolume(volume);
  const size = (await storageOf(world, storage).images()).get(image);
  if (size !== undefined) return size;
  throw died(`rbd error: rbd: error opening image ${image}: (2) No such file or directory`);
}

/** A node is reached by its short name, whichever node was asked. */
export function reachNode(world: World, name: string): void {
  const node = world.nodes.find((one) => one.name === name);
  if (!node) {
    throw died(`hostname lookup '${name}' failed - failed to get address info for: ${name}: Name or service not known`);
  }
  if (!node.isUp) throw new Refusal(595, "No route to host");
}
