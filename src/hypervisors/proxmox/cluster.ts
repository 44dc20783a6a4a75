import { failure } from "../../base/error.ts";
import { nearestNames } from "../../base/nearest.ts";
import type { MachineId } from "../hypervisor.ts";
import { isCode, type ProxmoxApi } from "./api.ts";
import { each, type Turns, turns } from "./turns.ts";

/** A cluster, its nodes, and where its machines are. */
export interface Cluster {
  readonly api: ProxmoxApi;
  readonly turns: Turns;
  /** Names of the nodes that are up, sorted. Their certificates are accepted from then on. */
  readonly nodes: () => Promise<readonly string[]>;
  /** @throws MesoError `invalid-setting`: a wrong name would only fail in Proxmox's own look-up of hosts, as a 500. */
  readonly checkNode: (name: string) => Promise<void>;
  /** @throws MesoError `invalid-setting` with the names there are. */
  readonly checkStorage: (node: string, storage: string) => Promise<void>;
  /** Every virtual machine that the token may see. */
  readonly machines: () => Promise<readonly { readonly vmid: number; readonly name: string; readonly node: string }[]>;
  /** Calls `body` with the node a machine is on; again when it has moved. Undefined when there is no such machine. */
  readonly onNode: <T>(vmid: number, body: (node: string) => Promise<T>) => Promise<T | undefined>;
  /** The node where it was last seen. */
  readonly lastNode: (vmid: number) => string | undefined;
}

export function openCluster(api: ProxmoxApi, parallelPerNode: number): Cluster {
  const seenOn = new Map<number, string>();
  const storages = new Map<string, readonly string[]>();
  const nodes = async () => {
    const list = await api.call("GET /nodes", {});
    api.accept(list.flatMap(({ ssl_fingerprint }) => ssl_fingerprint ?? []));
    return list
      .filter(({ status }) => status !== "offline")
      .map(({ node }) => node)
      .sort();
  };
  const machines = async () => {
    const list = await api.call("GET /cluster/resources", {}, { type: "vm" });
    const found = list.flatMap(({ type, vmid, name, node }) =>
      type === "qemu" && vmid !== undefined && node !== undefined ? [{ vmid, name: name ?? `VM ${vmid}`, node }] : [],
    );
    for (const { vmid, node } of found) seenOn.set(vmid, node);
    return found;
  };
  const has = async (node: string, vmid: number) => {
    try {
      await api.call("GET /nodes/{node}/qemu/{vmid}/config", { node, vmid });
      return true;
    } catch (error) {
      if (isCode(error, "no-machine")) return false;
      throw error;
    }
  };
  /** The list is gathered from broadcasts and may lag behind: what it says is confirmed by the machine's own settings. */
  const find = async (vmid: number): Promise<string | undefined> => {
    const listed = (await machines()).find((machine) => machine.vmid === vmid)?.node;
    if (listed !== undefined && (await has(listed, vmid))) return listed;
    const others = (await nodes()).filter((node) => node !== listed);
    const answers = await each(others, 8, (node) => has(node, vmid));
    return others.find((_, index) => answers[index]);
  };
  const onNode: Cluster["onNode"] = async (vmid, body) => {
    for (let attempt = 0; ; attempt++) {
      const node = seenOn.get(vmid) ?? (await find(vmid));
      if (node === undefined) return undefined;
      seenOn.set(vmid, node);
      try {
        return await body(node);
      } catch (error) {
        if (!isCode(error, "no-machine") || attempt === 3) throw error;
        seenOn.delete(vmid);
      }
    }
  };
  return {
    api,
    turns: turns(parallelPerNode),
    ...{ nodes, machines, onNode },
    checkNode: async (name) => {
      const known = await nodes();
      if (!known.includes(name)) throw unknownName("node", name, known);
    },
    checkStorage: async (node, storage) => {
      const look = async () => {
        const list = await api.call("GET /nodes/{node}/storage", { node }, { content: "images" });
        return list.map((one) => one.storage).sort();
      };
      if (storages.get(node)?.includes(storage)) return;
      const known = await look();
      storages.set(node, known);
      if (!known.includes(storage)) throw unknownName("storage for images", storage, known);
    },
    lastNode: (vmid) => seenOn.get(vmid),
  };
}

function unknownName(kind: string, name: string, known: readonly string[]) {
  const alike = name.includes(".") ? known.filter((one) => name.startsWith(`${one}.`)) : nearestNames(name, known);
  return failure("invalid-setting", `Proxmox lists no ${kind} ${JSON.stringify(name)}`, {
    expected: known.length === 0 ? "one that the token may see: it sees none" : `one of ${known.join(", ")}`,
    ...(alike.length > 0 && { hint: `did you mean ${alike.join(" or ")}?` }),
  });
}

/** @throws MesoError `invalid-setting`. */
export function numberOf(id: MachineId): number {
  if (id.vmid !== undefined) return id.vmid;
  throw failure("invalid-setting", `${id.name} has no vmid, which Proxmox VE knows machines by`);
}
