import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiskLocation } from "../../pools/pool.ts";
import type { TokenOptions } from "../../test-support/proxmox-emulator/access.ts";
import { type ProxmoxEmulator, startProxmoxEmulator } from "../../test-support/proxmox-emulator/emulator.ts";
import type { MachineRecord } from "../../test-support/proxmox-emulator/machine-record.ts";
import { type PretendHardware, pretendHardware } from "../../test-support/proxmox-emulator/pretend-hardware.ts";
import { memoryStorage } from "../../test-support/proxmox-emulator/storages.ts";
import type { WorldSeconds } from "../../test-support/proxmox-emulator/world.ts";
import type { MachineId } from "../hypervisor.ts";
import { type ProxmoxApi, proxmoxApi } from "./api.ts";
import { proxmoxDriver } from "./proxmox-driver.ts";
import type { ProxmoxOptions } from "./proxmox-options.ts";

/** A driver in front of an emulated cluster with one machine, 127, as the talks have it. */
export interface TestCluster {
  readonly emulator: ProxmoxEmulator;
  readonly hardware: PretendHardware;
  readonly driver: ReturnType<typeof proxmoxDriver>;
  /** Another driver on the same cluster. */
  readonly connect: (more?: Partial<ProxmoxOptions>) => ReturnType<typeof proxmoxDriver>;
  readonly api: ProxmoxApi;
  readonly machine: MachineRecord;
  readonly id: MachineId;
  /** Images of the storage `ceph`, by name; sizes in bytes. */
  readonly images: Map<string, number>;
  readonly disk: (image: string) => DiskLocation;
  /** Folder of a guest's `/guest`. */
  readonly folder: string;
}

export interface TestClusterOptions {
  readonly version?: 8 | 9;
  readonly nodes?: readonly string[];
  readonly token?: TokenOptions;
  readonly seconds?: Partial<WorldSeconds>;
  readonly driver?: Partial<ProxmoxOptions>;
}

const gibibyte = 2 ** 30;

export async function withCluster(
  options: TestClusterOptions,
  body: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-pve-"));
  const hardware = pretendHardware(folder);
  const images = new Map([
    ["vm-127-root-202301010000", 32 * gibibyte],
    ["vm-127-root-202309242151", 32 * gibibyte],
    ["vm-127-state", 20 * gibibyte],
    ["vm-128-root-202301010000", 32 * gibibyte],
    ["VMroot_slurm-worker_202309242151", 32 * gibibyte],
  ]);
  const emulator = await startProxmoxEmulator({
    ...{ storages: { ceph: memoryStorage(images) }, hardware },
    ...(options.version && { version: options.version }),
    ...(options.nodes && { nodes: options.nodes }),
    ...(options.seconds && { seconds: options.seconds }),
  });
  const token = emulator.makeToken(options.token ?? { privilegeSeparation: false });
  const drivers: ReturnType<typeof proxmoxDriver>[] = [];
  const usual: ProxmoxOptions = {
    ...{ urls: emulator.urls, token, certificateAuthority: emulator.certificateAuthority, parallelPerNode: 4 },
    ...{ pauses: { first: 0.01, longest: 0.1 }, ...options.driver },
  };
  const api = proxmoxApi(usual);
  const connect: TestCluster["connect"] = (more = {}) => {
    const driver = proxmoxDriver({ ...usual, ...more });
    drivers.push(driver);
    return driver;
  };
  const machine = emulator.addMachine(127, usualMachine);
  try {
    await body({
      ...{ emulator, hardware, driver: connect(), connect, api, machine, images, folder: join(folder, "127") },
      id: { name: "worker-001", vmid: 127 },
      disk: (image) => ({ kind: "rbd", pool: "vms", image, user: "admin", storage: "ceph" }),
    });
  } finally {
    for (const each of [api, ...drivers]) each.close();
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Options in an order of their own, to be kept. */
export const oldRoot = "ceph:vm-127-root-202301010000,iops_rd=500,discard=on,ssd=1,size=32G";

const usualMachine = {
  name: "worker-001",
  ...{ cores: "4", memory: "4096", ostype: "l26", scsihw: "virtio-scsi-pci", agent: "enabled=1", serial0: "socket" },
  ...{ scsi0: oldRoot, scsi1: "ceph:vm-127-state,serial=state,size=20G", boot: "order=scsi0;net0" },
  net0: "virtio=52:54:00:12:34:56,bridge=vmbr0,firewall=1",
};
