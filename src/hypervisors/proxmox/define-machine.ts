import { failure } from "../../base/error.ts";
import type { MachineSpec } from "../hypervisor.ts";
import { isCode } from "./api.ts";
import { type Cluster, numberOf } from "./cluster.ts";
import { type MachineReading, readMachine } from "./machine-state.ts";
import type { MachineConfig } from "./operations.ts";
import { refuseBusy } from "./power.ts";
import { propertyOf, withProperty } from "./property-string.ts";

/** Keys to set, plain text on both sides. */
type Keys = Readonly<Record<string, string | number | boolean>>;

/**
 * Makes the machine, off and without disks, or brings an existing one up to date, key by key, leaving alone what nobody
 * asked about. On a machine that runs, some changes wait for its next start.
 */
export async function defineMachine(cluster: Cluster, spec: MachineSpec): Promise<void> {
  const vmid = numberOf(spec.id);
  if (spec.architecture !== "amd64") {
    throw failure("invalid-setting", `Proxmox VE does not run machines of architecture ${spec.architecture}`, {
      expected: "amd64",
    });
  }
  for (let attempt = 0; ; attempt++) {
    const found = await readMachine(cluster, vmid);
    try {
      if (found) await update(cluster, found, spec);
      else await create(cluster, vmid, spec);
      return;
    } catch (error) {
      // The answer is lost, or somebody was faster: what is there now decides.
      if (!isCode(error, "unknown-outcome", "conflict") || attempt === 2) throw error;
    }
  }
}

const createSeconds = 60;

async function create(cluster: Cluster, vmid: number, spec: MachineSpec): Promise<void> {
  const node = await chooseNode(cluster, spec.node);
  const parameters = {
    vmid,
    name: spec.id.name,
    ...sizes(spec),
    ...nics(spec),
    description: spec.description,
    ostype: "l26",
    // Disks are scsi0…; a console that is always there; no cloud-init, no CD.
    ...{ scsihw: "virtio-scsi-pci", agent: "enabled=1", serial0: "socket", boot: "order=" },
    start: false,
  };
  await cluster.api.run("POST /nodes/{node}/qemu", { node }, parameters as never, createSeconds);
}

/** The one asked for, else the one with the fewest machines. */
async function chooseNode(cluster: Cluster, wanted: string | undefined): Promise<string> {
  if (wanted !== undefined) {
    await cluster.checkNode(wanted);
    return wanted;
  }
  const machines = await cluster.machines();
  const load = (node: string) => machines.filter((machine) => machine.node === node).length;
  const [first] = (await cluster.nodes()).toSorted((a, b) => load(a) - load(b) || (a < b ? -1 : 1));
  if (first !== undefined) return first;
  throw failure("hypervisor-unreachable", `no node of the cluster at ${cluster.api.title} is up`);
}

async function update(cluster: Cluster, found: MachineReading, spec: MachineSpec): Promise<void> {
  const { config, node, state } = found;
  const intended = afterNextStart(found);
  const cores = (config.cores ?? 1) * (config.sockets ?? 1);
  const wished: Keys = {
    ...sizes(spec),
    ...nics(spec, intended),
    ...(propertyOf(intended.agent ?? "", "enabled") === "1"
      ? {}
      : { agent: withProperty(intended.agent ?? "", "enabled", "1") }),
    description: spec.description,
  };
  const changes = Object.entries(wished).filter(([key, value]) => {
    if (key === "cores" || key === "sockets")
      return intended.cores === undefined ? cores !== spec.cores : !sameCores(intended, spec);
    // A machine type that names its version is one of them, and pinned on purpose.
    if (key === "machine" && /q35/.test(intended.machine ?? "")) return false;
    if (key === "bios") return (intended.bios ?? "seabios") !== value;
    return String(intended[key] ?? "").trimEnd() !== String(value).trimEnd();
  });
  const surplus = Object.keys(intended).filter((key) => /^net\d+$/.test(key) && wished[key] === undefined);
  if (changes.length === 0 && surplus.length === 0) return;
  refuseBusy(found);
  await cluster.api.change(
    "PUT /nodes/{node}/qemu/{vmid}/config",
    { node, vmid: state.id.vmid! },
    {
      ...Object.fromEntries(changes),
      ...(surplus.length > 0 && { delete: surplus.join(",") }),
      digest: state.version,
    } as MachineConfig & { digest: string },
    createSeconds,
  );
}

/** Keys as they will be: those in force with what waits for the next start. */
function afterNextStart({ config, pending }: MachineReading): Readonly<Record<string, string | undefined>> {
  const keys = Object.entries(config).map(([key, value]): [string, string] => [key, String(value)]);
  const changed = pending.flatMap(({ key, pending: value }): [string, string][] =>
    value === undefined ? [] : [[key, value]],
  );
  const gone = new Set(pending.filter((entry) => entry.delete).map(({ key }) => key));
  return Object.fromEntries([...keys, ...changed].filter(([key]) => !gone.has(key)));
}

function sameCores(intended: Readonly<Record<string, string | undefined>>, spec: MachineSpec): boolean {
  return Number(intended.cores ?? 1) * Number(intended.sockets ?? 1) === spec.cores;
}

function sizes(spec: MachineSpec): Keys {
  return {
    ...{ cores: spec.cores, sockets: 1, memory: String(spec.memoryMebibytes) },
    // Without an efidisk the firmware's variables are made anew at each start, with a warning: our loader lies where every
    // firmware looks. So no disk is made here, and none is destroyed with the machine.
    ...(spec.firmware === "uefi" ? { bios: "ovmf", machine: "q35" } : { bios: "seabios" }),
  };
}

/** Of a card that is there, what nobody asked about stays: firewall, rate, model. */
function nics(spec: MachineSpec, there: Readonly<Record<string, string | undefined>> = {}): Keys {
  return Object.fromEntries(
    spec.nics.map((nic, index) => {
      const key = `net${index}`;
      const given = there[key];
      const mac = nic.mac.toUpperCase();
      if (given === undefined) {
        const tag = nic.tag === undefined ? "" : `,tag=${nic.tag}`;
        return [key, `virtio=${mac},bridge=${nic.network}${tag}`];
      }
      const model = /^(?:model=)?([a-z0-9-]+)/.exec(given)?.[1] ?? "virtio";
      const address = propertyOf(given, "macaddr") === undefined ? model : "macaddr";
      const kept = nic.tag === undefined ? withoutTag(given) : withProperty(given, "tag", String(nic.tag));
      const sameMac = propertyOf(kept, address)?.toUpperCase() === mac;
      const addressed = sameMac ? kept : withProperty(kept, address, mac);
      return [
        key,
        propertyOf(addressed, "bridge") === nic.network ? addressed : withProperty(addressed, "bridge", nic.network),
      ];
    }),
  );
}

function withoutTag(raw: string): string {
  return raw
    .split(",")
    .filter((part) => !part.startsWith("tag="))
    .join(",");
}
