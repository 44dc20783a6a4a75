import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { sha256 } from "../../base/hash.ts";
import type { DesiredCentre, DesiredMachine } from "../../centre/desired.ts";
import { executePlan } from "../../centre/execute.ts";
import { executePrune } from "../../centre/execute-prune.ts";
import type { Hands } from "../../centre/hands.ts";
import { observe } from "../../centre/observe.ts";
import type { OpenedCentre } from "../../centre/open-centre.ts";
import { openPlaces } from "../../centre/open-places.ts";
import { planDeployment } from "../../centre/plan.ts";
import { planPrune } from "../../centre/prune.ts";
import { proxmoxDriver } from "../../hypervisors/proxmox/proxmox-driver.ts";
import { centre } from "../../language/centre.ts";
import { cephPool, proxmox } from "../../language/places.ts";
import { secret } from "../../language/secret.ts";
import { directoryPool } from "../../pools/directory/directory-pool.ts";
import type { Pool } from "../../pools/pool.ts";
import { plainMachine } from "../../simulation/small-centre.testing.ts";
import { type ProxmoxEmulator, startProxmoxEmulator } from "./emulator.ts";
import { type PretendHardware, pretendHardware } from "./pretend-hardware.ts";
import type { EmulatedStorage } from "./storages.ts";

/** Whole deployments by the real executor, on a real pool and the real client; only the machines are made up. */
interface Site {
  readonly emulator: ProxmoxEmulator;
  readonly hardware: PretendHardware;
  readonly pool: Pool;
  /** Plans, outcomes and events so far. */
  readonly said: readonly unknown[];
  /** Volumes of roots whose checks pass; undefined: all of them. */
  readonly passes: (volumes: ReadonlySet<string> | undefined) => void;
  readonly deploy: (machine: DesiredMachine) => Promise<string>;
  readonly prune: (machine: DesiredMachine) => Promise<string>;
}

async function withSite(body: (site: Site) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-pve-site-"));
  const files = directoryPool(join(folder, "pool"));
  const pool: Pool = {
    ...files,
    disk: (image) => ({ kind: "rbd", pool: "vms", image, user: "admin", storage: "ceph" }),
  };
  const hardware = pretendHardware(folder);
  const emulator = await startProxmoxEmulator({ storages: { ceph: storageOf(pool) }, hardware });
  const token = emulator.makeToken({ privilegeSeparation: false });
  /** Plans, outcomes, events, and what the pool was told: none of it may hold the token. */
  const said: unknown[] = [];
  const hypervisor = proxmoxDriver({
    ...{ urls: emulator.urls, token, parallelPerNode: 2 },
    ...{ certificateAuthority: emulator.certificateAuthority, pauses: { first: 0.01, longest: 0.1 } },
  });
  let good: ReadonlySet<string> | undefined;
  const setGood = (volumes: typeof good) => {
    good = volumes;
  };
  let minutes = Date.UTC(2026, 10, 25, 6) / 1000;
  const clock = {
    now: () => minutes + performance.now() / 1000,
    sleep: (seconds: number) => sleep(Math.min(seconds, 0.2) * 1000),
  };
  const signal = new AbortController().signal;
  const hands: Hands = {
    secrets: ({ secrets = [] }) => new Map(secrets.map((name) => [name, `value of ${name}`])),
    ...{ pool, hypervisor, clock, signal, holder: "a test", report: (event) => said.push(event) },
    publish: (requests) =>
      pool.publish(
        requests.map(({ machine, image, stamp }) => ({
          name: image,
          recipe: { size: machine.diskSize, extents: [] },
          about: {
            formatVersion: 1,
            centre: "site",
            machine: machine.path,
            role: "published",
            stamp,
            system: system(machine),
          },
        })),
        { files: { segmentDataPath: () => "" }, identify: (segment) => segment, signal },
      ),
    verify: async () => ({ passed: true, at: 1, by: "a test", failed: [], checks: 1 }),
    check: async ({ id, rootSlot }, agent) => {
      await agent.ping(5);
      const running = hardware.guest(id.vmid!).starts.at(-1)!.get(rootSlot)!;
      return { failed: good && !good.has(running) ? ["a check failed"] : [], checks: 1 };
    },
  };
  const centreOf = (machine: DesiredMachine): DesiredCentre => {
    const limits = { parallel: 2, parallelPerNode: 2, groups: {} };
    return { name: "site", machines: [machine], keepGenerations: 1, limits };
  };
  const prune = async (machine: DesiredMachine) => {
    const desired = centreOf(machine);
    const observation = await observe(pool, hypervisor, desired, { allSnapshots: true });
    const outcome = await executePrune(planPrune(desired, observation, await pool.documents()), desired, hands);
    return [outcome.result, ...outcome.reasons, ...outcome.left.map(({ why }) => why)].join("\n");
  };
  const deploy = async (machine: DesiredMachine) => {
    minutes += 60;
    const desired = centreOf(machine);
    const observation = await observe(pool, hypervisor, desired);
    const plan = planDeployment(desired, observation, { now: clock.now() });
    const outcome = await executePlan(plan, hands);
    said.push(plan, outcome);
    return [outcome.result, ...outcome.reasons, ...outcome.machines.flatMap(({ reasons }) => reasons)].join("\n");
  };
  try {
    await body({ emulator, hardware, pool, said, deploy, prune, passes: setGood });
    said.push(await pool.journal(), await pool.list(), hypervisor.title);
    const text = JSON.stringify(said);
    const value = token.slice(token.indexOf("=") + 1);
    assert.ok(value.length >= 32 && !text.includes(value), "nothing secret in plans, journals, events and outcomes");
  } finally {
    hypervisor.close();
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a pool has, under the names that it has there. */
function storageOf(pool: Pool): EmulatedStorage {
  return {
    images: async () => new Map((await pool.list()).map(({ name, size }) => [name, size])),
    remove: (image) => pool.remove(image),
    source: () => ({ kind: "none" }),
  };
}

function system({ systemHash, path }: DesiredMachine) {
  const imageHash = sha256(`${path} ${systemHash}`);
  return { systemHash, imageHash, lockHash: sha256("lock"), builder: "a test", publishedAt: 1 };
}

const id = { name: "slurm-ctld", vmid: 233 };
const ctld = plainMachine("slurm/ctld", {
  id,
  diskSize: 1 << 30,
  shutdownSeconds: 3,
  bootSeconds: 5,
  spec: {
    ...{ id, architecture: "amd64", cores: 2, memoryMebibytes: 2048, firmware: "bios" },
    nics: [{ network: "vmbr0", mac: "52:54:00:00:00:01" }],
  },
  volumes: [{ name: "state", image: "vm-233-state", size: 1 << 30, onRollBack: "keep", keepSnapshots: 2 }],
});
const second = { ...ctld, systemHash: sha256("second") };
const rootOf = (emulator: ProxmoxEmulator) => emulator.machines.get(233)!.keys.get("scsi0")!.split(",")[0]!;

test("made, swapped, rolled back by failing checks: volumes and options stay, old roots are listed, nothing waits", () =>
  withSite(async ({ emulator, hardware, pool, passes, deploy }) => {
    assert.equal(await deploy(ctld), "done");
    const { keys, pending } = emulator.machines.get(233)!;
    const first = rootOf(emulator);
    assert.match(first, /^ceph:vm-233-root-\d{12}$/);
    assert.match(keys.get("scsi1")!, /^ceph:vm-233-state,.*serial=state/);
    assert.match(keys.get("boot")!, /^order=scsi0/);
    assert.match(await deploy(ctld), /^nothing-to-do/);

    keys.set("scsi0", keys.get("scsi0")!.replace(",discard=on", ",iops_rd=500,discard=on,ssd=1"));
    assert.equal(await deploy(second), "done");
    const swapped = rootOf(emulator);
    assert.notEqual(swapped, first);
    assert.equal(keys.get("scsi0"), `${swapped},iops_rd=500,discard=on,ssd=1,size=1G`);
    assert.equal(keys.get("unused0"), first);
    assert.equal(hardware.guest(233).starts.at(-1)!.get("scsi0"), swapped);

    passes(new Set([swapped]));
    assert.match(await deploy({ ...ctld, systemHash: sha256("third") }), /^rolled-back[\s\S]*a check failed/);
    assert.equal(rootOf(emulator), swapped);
    assert.equal(hardware.guest(233).starts.at(-1)!.get("scsi0"), swapped);
    assert.equal(pending.size, 0);
    assert.ok((await pool.list()).some(({ name }) => name === "vm-233-state"));
  }));

test("secrets reach a started machine through its agent, since Proxmox hands nothing over", () =>
  withSite(async ({ emulator, hardware, deploy, said }) => {
    assert.equal(await deploy({ ...ctld, secrets: ["munge-key"] }), "done");
    const kept = join(hardware.folder, "233/run/credstore/munge-key");
    assert.equal(readFileSync(kept, "utf8"), "value of munge-key");
    assert.equal(statSync(kept).mode & 0o777, 0o600);
    const text = JSON.stringify([said, [...emulator.machines.get(233)!.keys]]);
    assert.ok(text.includes("munge-key") && !text.includes("value of munge-key"));

    hardware.guest(233).hasAgent = false;
    const silent = { ...ctld, secrets: ["munge-key"], systemHash: sha256("silent"), bootSeconds: 1 };
    assert.match(await deploy(silent), /^partly-done[\s\S]*could not be given the machine's secrets/);
  }));

test("answers lost at every change of a swap: the outcome is the same", () =>
  withSite(async ({ emulator, hardware, deploy }) => {
    for (const kind of ["lost", "dropped", 596] as const) {
      const changes = [
        emulator.fault({ method: "POST", path: /\/qemu$/, kind }),
        emulator.fault({ method: "PUT", path: /\/config$/, kind, times: 2 }),
        emulator.fault({ method: "POST", path: /\/status\/(start|shutdown)$/, kind, times: 2 }),
      ];
      const wished = { ...ctld, systemHash: sha256(String(kind)) };
      assert.equal(await deploy(wished), "done", String(kind));
      assert.equal(hardware.guest(233).starts.at(-1)!.get("scsi0"), rootOf(emulator));
      assert.ok(
        changes.slice(1).every(({ times }) => times < 2),
        "each kind of change lost an answer",
      );
      for (const fault of changes) fault.times = 0;
    }
  }));

test("old roots are pruned with their entries among the unused: the list does not grow until nothing fits in", () =>
  withSite(async ({ emulator, pool, deploy, prune }) => {
    for (const name of ["one", "two", "three", "four"]) {
      assert.equal(await deploy({ ...ctld, systemHash: sha256(name) }), "done");
    }
    const unused = () =>
      [...emulator.machines.get(233)!.keys].filter(([key]) => /^unused/.test(key)).map(([, volume]) => volume);
    assert.equal(unused().length, 3);
    assert.equal(await prune({ ...ctld, systemHash: sha256("four") }), "done");
    const images = (await pool.list()).map(({ name }) => `ceph:${name}`);
    assert.equal(unused().length, 1, "the generation that is kept");
    assert.ok(
      unused().every((volume) => images.includes(volume)),
      "no entry for what is gone",
    );
    assert.ok(images.includes(rootOf(emulator)) && images.includes("ceph:vm-233-state"));
  }));

test("a program's words reach the cluster: its CA's file, its token by name; what is wrong with either is told", () =>
  withSite(async ({ emulator }) => {
    const folder = mkdtempSync(join(tmpdir(), "meso-pve-program-"));
    try {
      const place = centre({
        name: "site",
        pool: cephPool({ pool: "vms", storage: "ceph" }),
        hypervisor: proxmox({ url: emulator.urls, token: secret("pve-token"), certificateAuthority: "ca.pem" }),
        machines: {},
      });
      const env = { HOME: folder, MESO_SECRET_PVE_TOKEN: emulator.makeToken({ privilegeSeparation: false }) };
      const open = () => openPlaces({ centre: place, folder } as OpenedCentre, { env });
      await assert.rejects(open(), { code: "no-certificate", message: /ca\.pem cannot be read \(ENOENT\)/ });
      writeFileSync(join(folder, "ca.pem"), "no certificate");
      await assert.rejects(open(), { code: "no-certificate", message: /holds no certificate/ });
      writeFileSync(join(folder, "ca.pem"), emulator.certificateAuthority);
      const { hypervisor, close } = await open();
      const needs = { machines: [id], storages: ["ceph"], defines: true };
      assert.deepEqual(await hypervisor.check(needs), []);
      close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }));
