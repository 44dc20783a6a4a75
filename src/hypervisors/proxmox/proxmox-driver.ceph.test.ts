import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { writeRaw } from "../../image/output/write-raw.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import { startCephCluster } from "../../test-support/ceph-cluster.ts";
import { startProxmoxEmulator } from "../../test-support/proxmox-emulator/emulator.ts";
import { qemuHardware } from "../../test-support/proxmox-emulator/qemu-hardware.ts";
import { rbdStorage } from "../../test-support/proxmox-emulator/storages.ts";
import { driverSuite } from "../driver-suite.testing.ts";
import { proxmoxDriver } from "./proxmox-driver.ts";

const run = promisify(execFile);

/** The API is emulated; machines, agents and disks are real: QEMU started from RBD images of a Ceph on loopback. */
driverSuite("Proxmox VE 9 on Ceph", async () => {
  const ceph = await startCephCluster({ pools: ["vms"], watchSeconds: 5 });
  const folder = mkdtempSync(join(tmpdir(), "meso-pve-disks-"));
  const { configuration } = ceph;
  const storages = { ceph: rbdStorage({ configuration, pool: "vms", user: "admin" }) };
  const hardware = qemuHardware(storages);
  const emulator = await startProxmoxEmulator({ storages, hardware, seconds: { lock: 10, agent: 5 } });
  const driver = proxmoxDriver({
    urls: emulator.urls,
    token: emulator.makeToken({ privilegeSeparation: false }),
    fingerprint: emulator.nodes[0]!.fingerprint,
    parallelPerNode: 2,
  });
  const images = async () => (await ceph.run("rbd", ["ls", "vms"])).trim().split("\n");
  return {
    driver: {
      ...driver,
      // Proxmox has no console to listen to; the emulated cluster does.
      console: ({ vmid }) => follow(() => hardware.consoleText(vmid!)),
      // Nobody tells this driver that its machines are slow.
      agent: (id) => {
        const agent = driver.agent(id);
        return { ...agent, ping: (deadline) => agent.ping(deadline > 1 ? deadline * 8 : deadline) };
      },
    },
    id: (number) => ({ name: `toy-${number}`, vmid: 100 + number }),
    spec: { nics: [{ network: "vmbr0", mac: "52:54:00:00:00:01" }] },
    disk: async (id, name, recipe): Promise<DiskLocation> => {
      const image = `vm-${id.vmid}-${name}`;
      const raw = join(folder, name);
      writeRaw(recipe, raw, { segmentDataPath: () => "" });
      await ceph.run("rbd", ["create", "--size", `${recipe.size}B`, `vms/${image}`]);
      const target = `rbd:vms/${image}:conf=${configuration}`;
      await run("qemu-img", ["convert", "-n", "--target-is-zero", "-f", "raw", "-O", "raw", raw, target]);
      return { kind: "rbd", pool: "vms", image, user: "admin", configuration, storage: "ceph" };
    },
    diskExists: async (disk) => disk.kind === "rbd" && (await images()).includes(disk.image),
    release: async (disk) => {
      if (disk.kind !== "rbd") return disk;
      const image = disk.image.replace(/^vm-\d+-/, "given-up-");
      await ceph.run("rbd", ["rename", `vms/${disk.image}`, `vms/${image}`]);
      return { ...disk, image };
    },
    setOption: async ({ vmid }, slot) => {
      const { keys } = emulator.machines.get(vmid!)!;
      keys.set(slot, keys.get(slot)!.replace(",discard=on", ",iops_rd=5000,discard=on"));
      return "iops_rd=5000";
    },
    close: async () => {
      driver.close();
      await emulator.close();
      await ceph.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});

async function* follow(text: () => string): AsyncIterable<Uint8Array> {
  for (let told = 0; ; ) {
    const now = text();
    yield Buffer.from(now.slice(told), "latin1");
    told = now.length;
    await sleep(200, undefined, { ref: false });
  }
}
