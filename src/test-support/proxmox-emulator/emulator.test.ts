import assert from "node:assert/strict";
import { request } from "node:https";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ProxmoxEmulator, startProxmoxEmulator } from "./emulator.ts";
import { pretendHardware } from "./pretend-hardware.ts";
import { memoryStorage } from "./storages.ts";

/** What the driver must reckon with is really there: the emulated cluster, asked by hand. */
interface Asked {
  readonly status: number;
  readonly message: string;
  readonly errors: Readonly<Record<string, string>>;
  readonly data: unknown;
}

type Ask = (method: string, path: string, body?: string | object, type?: string) => Promise<Asked>;

async function withEmulator(
  version: 8 | 9,
  body: (ask: Ask, emulator: ProxmoxEmulator, images: Map<string, number>) => Promise<void>,
): Promise<void> {
  const images = new Map(
    ["vm-127-root", "vm-127-next", "vm-127-state", "vm-128-x", "VMroot_x"].map((name) => [name, 2 ** 30]),
  );
  const storages = { ceph: memoryStorage(images) };
  const emulator = await startProxmoxEmulator({ version, storages, hardware: pretendHardware("/nowhere") });
  emulator.addMachine(127, {
    ...{ name: "worker", boot: "order=scsi0", agent: "1", scsi0: "ceph:vm-127-root,size=1G" },
    ...{ scsi1: "ceph:vm-127-state,size=1G", net0: "virtio=52:54:00:00:00:01,bridge=vmbr0" },
  });
  const authorization = `PVEAPIToken=${emulator.makeToken({ privilegeSeparation: false })}`;
  const ask: Ask = (method, path, given, type = "application/json") =>
    new Promise((resolve, reject) => {
      const text = typeof given === "object" ? JSON.stringify(given) : (given ?? "");
      const outgoing = request(
        `${emulator.urls[0]}/api2/json${path}`,
        {
          method,
          ca: emulator.certificateAuthority,
          headers: { authorization, ...(text && { "content-type": type }) },
        },
        async (incoming) => {
          let said = "";
          for await (const piece of incoming.setEncoding("utf8")) said += piece;
          const parsed = said === "" ? {} : JSON.parse(said);
          const {
            data,
            message = "",
            errors = {},
          } = parsed as { data?: unknown; message?: string; errors?: Asked["errors"] };
          resolve({ status: incoming.statusCode!, message, errors, data });
        },
      );
      outgoing.once("error", reject);
      outgoing.end(text);
    });
  try {
    await body(ask, emulator, images);
  } finally {
    await emulator.close();
  }
}

const machine = "/nodes/pve1/qemu/127";
const form = "application/x-www-form-urlencoded";

async function task(emulator: ProxmoxEmulator, asked: Asked): Promise<string | undefined> {
  assert.equal(asked.status, 200, asked.message);
  await emulator.tasks.settled();
  return emulator.tasks.find(String(asked.data)).exitStatus;
}

test("requests are held to the schema: names, types, formats, methods, releases", () =>
  withEmulator(8, async (ask) => {
    const put = (body: string | object, type?: string) => ask("PUT", `${machine}/config`, body, type);
    for (const text of ["onboot=true", "onboot=yes", "onboot="])
      assert.equal((await put(text, form)).status, 400, text);
    for (const text of ["onboot=1", "onboot=0", "name=w2"]) assert.equal((await put(text, form)).status, 200, text);
    assert.equal((await put({ onboot: true })).status, 200);
    const wrong: readonly [object, string][] = [
      [{ sizze: 1 }, "sizze"],
      [{ cores: 0 }, "cores"],
      [{ cores: "many" }, "cores"],
      [{ bios: "coreboot" }, "bios"],
      [{ scsi0: "ceph:vm-127-root,iops=x" }, "scsi0"],
      [{ scsi0: "ceph:vm-127-root,nonsense=1" }, "scsi0"],
      [{ scsi31: "ceph:vm-127-root" }, "scsi31"],
      [{ net0: "virtio=52:54:00:00:00:zz,bridge=vmbr0" }, "net0"],
      [{ boot: "order=scsi0,net0" }, "boot"],
      [{ name: "under_score" }, "name"],
      [{ force: true }, "delete"],
    ];
    for (const [body, field] of wrong) {
      const { status, errors } = await put(body);
      assert.deepEqual([status, Object.keys(errors)], [400, [field]], JSON.stringify(body));
    }
    assert.equal((await ask("GET", "/nodes/pve1/qemu/127/nonsense")).status, 501);
    assert.equal((await ask("GET", `${machine}/agent/file-read`)).errors.file !== undefined, true);
    assert.equal((await ask("GET", `${machine}/agent/file-read?file=/x&offset=1`)).status, 400, "new in 9");
    assert.equal((await ask("GET", "/nodes/elsewhere/storage")).message.includes("hostname lookup"), true);
  }));

test("an array is its key repeated in a form, or a list in JSON", () =>
  withEmulator(9, async (ask, emulator) => {
    assert.equal(await task(emulator, await ask("POST", `${machine}/status/start`)), "OK");
    for (const [body, type] of [
      ["command=/bin/echo&command=a", form],
      [{ command: ["/bin/echo", "a"] }, undefined],
    ] as const) {
      const { pid } = (await ask("POST", `${machine}/agent/exec`, body, type)).data as { pid: number };
      const { data } = await ask("GET", `${machine}/agent/exec-status?pid=${pid}`);
      assert.deepEqual(data, { exited: 1, exitcode: 0, "out-data": "a\n", "err-data": "" });
      assert.match((await ask("GET", `${machine}/agent/exec-status?pid=${pid}`)).message, /Invalid parameter 'pid'/);
    }
  }));

test("destroying a machine destroys by number: state disks, unused ones, with the option also unnamed ones", () =>
  withEmulator(9, async (ask, emulator, images) => {
    emulator.machines.get(127)!.keys.set("scsi2", "ceph:vm-128-x");
    await ask("PUT", `${machine}/config`, { delete: "scsi1" });
    assert.equal(emulator.machines.get(127)!.keys.get("unused0"), "ceph:vm-127-state");
    assert.equal(await task(emulator, await ask("DELETE", machine)), "OK");
    assert.deepEqual([...images.keys()].sort(), ["VMroot_x", "vm-127-next", "vm-128-x"]);
    emulator.addMachine(127, {});
    assert.equal(await task(emulator, await ask("DELETE", `${machine}?destroy-unreferenced-disks=1`)), "OK");
    assert.deepEqual([...images.keys()].sort(), ["VMroot_x", "vm-128-x"]);
  }));

test("disks: unused entries, the boot order, other people's volumes, destruction behind a harmless word", () =>
  withEmulator(9, async (ask, emulator, images) => {
    const { keys } = emulator.machines.get(127)!;
    const put = (body: object) => ask("PUT", `${machine}/config`, body);
    await put({ delete: "scsi0" });
    assert.deepEqual([keys.get("boot"), keys.get("unused0")], ["order=", "ceph:vm-127-root"]);
    await put({ scsi0: "ceph:vm-127-root" });
    assert.deepEqual([keys.get("boot"), keys.get("unused0")], ["order=", undefined], "it would boot nothing");
    await put({ scsi7: "ceph:vm-127-root" });
    assert.equal(keys.get("scsi7"), "ceph:vm-127-root,size=1G", "one image in two slots");
    await put({ scsi2: "ceph:vm-128-x" });
    await put({ delete: "scsi2" });
    assert.ok(![...keys.values()].includes("ceph:vm-128-x"), "another's is dropped silently");
    assert.match((await put({ scsi3: "ceph:VMroot_x" })).message, /unable to parse rbd volume name/);
    await put({ scsi1: "ceph:vm-127-next" });
    assert.equal(keys.get("unused0"), "ceph:vm-127-state");
    await put({ delete: "unused0" });
    assert.ok(!images.has("vm-127-state"), "destroyed, with all its snapshots");
    const both = await put({ scsi1: "ceph:vm-127-next", delete: "scsi1" });
    assert.match(both.message, /at the same time/);
    assert.match((await put({ args: "-fw_cfg x" })).message, /only root can set 'args'/);
    assert.match((await put({ lock: "backup" })).message, /only root can set 'lock'/);
  }));

test("a running machine: the boot disk's change is refused and waits all the same; without hotplug it only waits", () =>
  withEmulator(9, async (ask, emulator) => {
    const record = emulator.machines.get(127)!;
    await task(emulator, await ask("POST", `${machine}/status/start`));
    const refused = await ask("PUT", `${machine}/config`, { scsi0: "ceph:vm-127-next" });
    assert.equal(refused.status, 400);
    assert.match(refused.errors.scsi0!, /can't unplug bootdisk/);
    assert.equal(record.pending.get("scsi0"), "ceph:vm-127-next,size=1G");
    await ask("PUT", `${machine}/config`, { revert: "scsi0" });
    assert.deepEqual([record.pending.size, record.keys.get("unused0")], [0, "ceph:vm-127-next"]);
    record.keys.set("hotplug", "network");
    assert.equal((await ask("PUT", `${machine}/config`, { scsi0: "ceph:vm-127-next" })).status, 200);
    assert.equal(record.keys.get("scsi0"), "ceph:vm-127-root,size=1G");
    await task(emulator, await ask("POST", `${machine}/status/stop`));
    await task(emulator, await ask("POST", `${machine}/status/start`));
    assert.equal(record.keys.get("scsi0"), "ceph:vm-127-next,size=1G", "it struck at the next start");
    assert.match((await task(emulator, await ask("POST", `${machine}/status/start`)))!, /already running/);
    assert.equal(await task(emulator, await ask("POST", `${machine}/status/stop`)), "OK");
    assert.equal(await task(emulator, await ask("POST", `${machine}/status/stop`)), "OK");
  }));

test("locks and digests: a held lock file gives up in time, a digest is compared, tasks fail behind a 200", () =>
  withEmulator(9, async (ask, emulator) => {
    const record = emulator.machines.get(127)!;
    const { digest } = (await ask("GET", `${machine}/config`)).data as { digest: string };
    const outcomes = await Promise.all([1, 2, 3, 4].map((cores) => ask("PUT", `${machine}/config`, { cores, digest })));
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), [200, 500, 500, 500]);
    let free = () => {};
    record.fileLock = new Promise((resolve) => {
      free = resolve;
    });
    assert.match((await ask("PUT", `${machine}/config`, { cores: 8 })).message, /can't lock file .* got timeout/);
    free();
    await sleep(10);
    record.keys.set("lock", "backup");
    assert.match((await ask("PUT", `${machine}/config`, { cores: 8 })).message, /VM is locked \(backup\)/);
    assert.match((await task(emulator, await ask("POST", `${machine}/status/start`)))!, /VM is locked/);
    const gone = "UPID:pve1:00000001:00000001:00000001:qmstart:127:root@pam:";
    const forgotten = await ask("GET", `/nodes/pve1/tasks/${encodeURIComponent(gone)}/status`);
    assert.deepEqual([forgotten.status, forgotten.message], [400, "no such task\n"]);
  }));
