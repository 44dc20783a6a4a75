import type { Server } from "node:https";
import { schema } from "../../hypervisors/proxmox/schema.testing.ts";
import { access, type Grants, type TokenOptions } from "./access.ts";
import { agentOperations } from "./agent-operations.ts";
import { clusterCertificates } from "./certificate.ts";
import { clusterOperations } from "./cluster-operations.ts";
import { configOperations } from "./config-operations.ts";
import type { Hardware } from "./hardware.ts";
import { type MachineRecord, machineRecord } from "./machine-record.ts";
import { powerOperations } from "./power-operations.ts";
import { type Fault, type HeardRequest, serve } from "./server.ts";
import type { EmulatedStorage } from "./storages.ts";
import { type Tasks, taskList } from "./tasks.ts";
import type { EmulatedNode, World, WorldSeconds } from "./world.ts";

export interface EmulatorOptions {
  readonly version?: 8 | 9;
  readonly nodes?: readonly string[];
  readonly storages: Readonly<Record<string, EmulatedStorage>>;
  readonly hardware: Hardware;
  /** Default: a hundredth or so of a real cluster's. */
  readonly seconds?: Partial<WorldSeconds>;
}

/** A cluster of Proxmox VE, as far as the schema beside the driver goes. Tests may look at all and change it. */
export interface ProxmoxEmulator {
  /** One of each node, `https://localhost:PORT`. */
  readonly urls: readonly string[];
  readonly certificateAuthority: string;
  readonly nodes: readonly EmulatedNode[];
  readonly machines: Map<number, MachineRecord>;
  readonly addMachine: (vmid: number, keys: Readonly<Record<string, string>>, node?: string) => MachineRecord;
  readonly tasks: Tasks;
  readonly makeToken: (options?: TokenOptions) => string;
  readonly setUser: (user: string, grants: Grants) => void;
  readonly fault: (fault: Omit<Fault, "times"> & { readonly times?: number }) => Fault;
  /** Every request with a good token, oldest first. */
  readonly heard: HeardRequest[];
  /** How many were made so far. */
  readonly connections: () => number;
  /** Closes one node's server: nobody listens there any more. */
  readonly stopServer: (index: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startProxmoxEmulator(options: EmulatorOptions): Promise<ProxmoxEmulator> {
  const names = options.nodes ?? ["pve1"];
  const version = options.version ?? 9;
  const { ca, leaves } = clusterCertificates(names);
  const nodes = names.map((name, index) => ({ name, fingerprint: leaves[index]!.fingerprint, isUp: true }));
  const world: World = {
    ...{ version, nodes, storages: options.storages, hardware: options.hardware },
    ...{ machines: new Map(), tasks: taskList() },
    seconds: { lock: 0.3, agent: 0.1, lostReply: 0.05, ha: 0.15, ...options.seconds },
  };
  let connections = 0;
  const operations = { ...clusterOperations, ...configOperations, ...powerOperations, ...agentOperations };
  const missing = Object.keys(schema.endpoints).filter((name) => !operations[name]);
  if (missing.length > 0) throw new Error(`the emulator lacks ${missing.join(", ")}`);
  const faults: Fault[] = [];
  const heard: HeardRequest[] = [];
  const rights = access(version);
  const servers = await Promise.all(
    leaves.map((leaf) => serve({ world, operations, faults, heard, access: rights }, leaf)),
  );
  for (const { server } of servers) server.on("secureConnection", () => connections++);
  return {
    connections: () => connections,
    urls: servers.map(({ port }) => `https://localhost:${port}`),
    certificateAuthority: ca,
    ...{ nodes, heard, machines: world.machines, tasks: world.tasks },
    addMachine: (vmid, keys, node = names[0]!) => {
      const machine = machineRecord(vmid, node, keys);
      world.machines.set(vmid, machine);
      return machine;
    },
    makeToken: rights.makeToken,
    setUser: rights.setUser,
    fault: (fault) => {
      const added: Fault = { times: 1, ...fault };
      faults.push(added);
      return added;
    },
    stopServer: (index) => closed(servers[index]!.server),
    close: async () => {
      await Promise.all(servers.map(({ server }) => closed(server)));
      const running = [...world.machines.values()].flatMap((machine) => machine.running ?? []);
      for (const machine of world.machines.values()) machine.ha = undefined;
      for (const machine of running) machine.kill();
      await Promise.all(running.map(({ exited }) => exited));
    },
  };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
