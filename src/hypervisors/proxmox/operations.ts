/**
 * What Proxmox VE's API takes and gives, for the operations used here. Written from schema.json by
 * `MESO_UPDATE_DOCS=1 npm test -- src/hypervisors/proxmox/operations.test.ts`; do not edit.
 */
export interface Operations {
  "GET /version": {
    path: Record<never, never>;
    parameters: Record<never, never>;
    result: {
      release: string;
      repoid: string;
      version: string;
    };
  };
  "GET /access/permissions": {
    path: Record<never, never>;
    parameters: {
      path?: string;
      userid?: string;
    };
    result: Readonly<Record<string, unknown>>;
  };
  "GET /nodes": {
    path: Record<never, never>;
    parameters: Record<never, never>;
    result: readonly {
      node: string;
      ssl_fingerprint?: string;
      status: "unknown" | "online" | "offline";
    }[];
  };
  "GET /cluster/resources": {
    path: Record<never, never>;
    parameters: {
      type?: "vm" | "storage" | "node" | "sdn";
    };
    result: readonly {
      content?: string;
      id: string;
      lock?: string;
      name?: string;
      node?: string;
      shared?: Bit;
      status?: string;
      storage?: string;
      tags?: string;
      template?: Bit;
      type: string;
      vmid?: number;
    }[];
  };
  "POST /nodes/{node}/qemu": {
    path: {
      node: string;
    };
    parameters: MachineConfig & {
      "ha-managed"?: boolean;
      start?: boolean;
      storage?: string;
      vmid: number;
    };
    result: string;
  };
  "DELETE /nodes/{node}/qemu/{vmid}": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      "destroy-unreferenced-disks"?: boolean;
      purge?: boolean;
      skiplock?: boolean;
    };
    result: string;
  };
  "GET /nodes/{node}/qemu/{vmid}/config": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      current?: boolean;
      snapshot?: string;
    };
    result: MachineConfig & {
      digest: string;
      efidisk0?: string;
      [key: `ide${number}`]: string | undefined;
      meta?: string;
      [key: `sata${number}`]: string | undefined;
      [key: `scsi${number}`]: string | undefined;
      tpmstate0?: string;
      [key: `virtio${number}`]: string | undefined;
      vmstate?: string;
    };
  };
  "PUT /nodes/{node}/qemu/{vmid}/config": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: MachineConfig & {
      delete?: string;
      digest?: string;
      force?: boolean;
      revert?: string;
      skiplock?: boolean;
    };
    result: null;
  };
  "GET /nodes/{node}/qemu/{vmid}/pending": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: Record<never, never>;
    result: readonly {
      delete?: number;
      key: string;
      pending?: string;
      value?: string;
    }[];
  };
  "GET /nodes/{node}/qemu/{vmid}/status/current": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: Record<never, never>;
    result: {
      agent?: Bit;
      ha: Readonly<Record<string, unknown>>;
      lock?: string;
      name?: string;
      qmpstatus?: string;
      status: "stopped" | "running";
      tags?: string;
      template?: Bit;
      vmid: number;
    };
  };
  "POST /nodes/{node}/qemu/{vmid}/status/start": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      machine?: string;
      skiplock?: boolean;
      timeout?: number;
    };
    result: string;
  };
  "POST /nodes/{node}/qemu/{vmid}/status/stop": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      "overrule-shutdown"?: boolean;
      skiplock?: boolean;
      timeout?: number;
    };
    result: string;
  };
  "POST /nodes/{node}/qemu/{vmid}/status/shutdown": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      forceStop?: boolean;
      skiplock?: boolean;
      timeout?: number;
    };
    result: string;
  };
  "POST /nodes/{node}/qemu/{vmid}/status/resume": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      nocheck?: boolean;
      skiplock?: boolean;
    };
    result: string;
  };
  "GET /nodes/{node}/qemu/{vmid}/snapshot": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: Record<never, never>;
    result: readonly {
      description: string;
      name: string;
      vmstate?: Bit;
    }[];
  };
  "POST /nodes/{node}/qemu/{vmid}/agent": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      command: string;
    };
    result: Readonly<Record<string, unknown>>;
  };
  "POST /nodes/{node}/qemu/{vmid}/agent/ping": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: Record<never, never>;
    result: Readonly<Record<string, unknown>>;
  };
  "POST /nodes/{node}/qemu/{vmid}/agent/exec": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      command: readonly string[];
      "input-data"?: string;
    };
    result: {
      pid: number;
    };
  };
  "GET /nodes/{node}/qemu/{vmid}/agent/exec-status": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      pid: number;
    };
    result: {
      "err-data"?: string;
      "err-truncated"?: Bit;
      exitcode?: number;
      exited: Bit;
      "out-data"?: string;
      "out-truncated"?: Bit;
      signal?: number;
    };
  };
  "GET /nodes/{node}/qemu/{vmid}/agent/file-read": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      count?: number;
      decode?: boolean;
      file: string;
      offset?: number;
    };
    result: {
      content: string;
      truncated?: Bit;
    };
  };
  "POST /nodes/{node}/qemu/{vmid}/agent/file-write": {
    path: {
      node: string;
      vmid: number;
    };
    parameters: {
      content: string;
      encode?: boolean;
      file: string;
    };
    result: null;
  };
  "GET /nodes/{node}/storage": {
    path: {
      node: string;
    };
    parameters: {
      content?: string;
      enabled?: boolean;
      storage?: string;
    };
    result: readonly {
      active?: Bit;
      content: string;
      enabled?: Bit;
      shared?: Bit;
      storage: string;
      type: string;
    }[];
  };
  "GET /nodes/{node}/storage/{storage}/content": {
    path: {
      node: string;
      storage: string;
    };
    parameters: {
      content?: string;
      vmid?: number;
    };
    result: readonly {
      protected?: Bit;
      size: number;
      vmid?: number;
      volid: string;
    }[];
  };
  "GET /nodes/{node}/tasks/{upid}/status": {
    path: {
      node: string;
      upid: string;
    };
    parameters: Record<never, never>;
    result: {
      exitstatus?: string;
      id: string;
      node: string;
      status: "running" | "stopped";
      type: string;
      upid: string;
      user: string;
    };
  };
  "GET /nodes/{node}/tasks/{upid}/log": {
    path: {
      node: string;
      upid: string;
    };
    parameters: {
      limit?: number;
      start?: number;
    };
    result: readonly {
      n: number;
      t: string;
    }[];
  };
}

/** Booleans travel as 0 and 1. */
export type Bit = 0 | 1 | boolean;

/** Keys of a virtual machine. */
export interface MachineConfig {
  agent?: string;
  arch?: "x86_64" | "aarch64";
  args?: string;
  balloon?: number;
  bios?: "seabios" | "ovmf";
  boot?: string;
  bootdisk?: string;
  cdrom?: string;
  cores?: number;
  cpu?: string;
  description?: string;
  efidisk0?: string;
  hotplug?: string;
  [key: `ide${number}`]: string | undefined;
  kvm?: boolean;
  lock?: string;
  machine?: string;
  memory?: string;
  name?: string;
  [key: `net${number}`]: string | undefined;
  numa?: boolean;
  onboot?: boolean;
  ostype?: string;
  protection?: boolean;
  rng0?: string;
  [key: `sata${number}`]: string | undefined;
  [key: `scsi${number}`]: string | undefined;
  scsihw?: string;
  [key: `serial${number}`]: string | undefined;
  smbios1?: string;
  sockets?: number;
  startup?: string;
  tablet?: boolean;
  tags?: string;
  template?: boolean;
  tpmstate0?: string;
  [key: `unused${number}`]: string | undefined;
  vga?: string;
  [key: `virtio${number}`]: string | undefined;
  vmgenid?: string;
}
