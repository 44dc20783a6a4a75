import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { centre, directoryPool, drainCommands, machine, nic, operatingSystem, qemu, volume } from "../index.ts";
import { desiredCentre, type SystemFacts } from "./desired.ts";
import * as names from "./image-names.ts";
import { parseIntent, printIntent } from "./intent.ts";
import { parseShape, printShape } from "./shape.ts";

describe("names of images", () => {
  test("are printed as the talks have them, and read back", () => {
    const owner = { path: "slurm/ctld", vmid: 233 };
    const stamp = "202611251907";
    assert.equal(names.publishedName(owner, stamp), "VMroot_slurm-ctld_202611251907");
    assert.equal(names.candidateName(owner), "VMroot_slurm-ctld_candidate");
    assert.equal(names.rootName(owner, stamp), "vm-233-root-202611251907");
    assert.equal(names.rootName({ path: "slurm/ctld" }, stamp), "slurm-ctld-root-202611251907");
    assert.equal(names.volumeImageName(owner, "state"), "vm-233-state");
    const machine = "slurm-ctld";
    const parsed = (name: string) => names.parseImageName(name);
    assert.deepEqual(parsed("VMroot_slurm-ctld_202611251907"), { kind: "published", machine, stamp });
    assert.deepEqual(parsed("VMroot_slurm-ctld_candidate"), { kind: "candidate", machine });
    assert.deepEqual(parsed("vm-233-root-202611251907"), { kind: "root", machine: 233, stamp });
    assert.deepEqual(parsed("slurm-ctld-root-202611251907"), { kind: "root", machine, stamp });
  });

  test("that are not ours are not read as ours", () => {
    const foreign = [
      ...["", "VMroot_", "VMroot__candidate", "VMroot_a_20261125190", "VMroot_a_202602310000", "VMroot_A_candidate"],
      ...[
        "vm-127-disk-0",
        "vm-127-root-000000000000",
        "a-root-202613010000",
        "root-202611251907",
        "VMroot_a_candidate ",
      ],
      ...["VMroot_a_candidate\n", "vm-233-root-202611251907x", "-root-202611251907", "VMroot_a/b_candidate"],
    ];
    for (const name of foreign) assert.equal(names.parseImageName(name), undefined, name);
    for (const name of ["left-x-at-y", "left-202611251907", "left-202611251907-at-202699251907", "daily"]) {
      assert.equal(names.parseSnapshotName(name), undefined, name);
    }
    fc.assert(
      fc.property(fc.string(), (name) => {
        names.parseImageName(name);
        names.parseSnapshotName(name);
      }),
    );
  });

  test("have stamps in the order of events, also within one minute and when a clock goes back", () => {
    assert.equal(names.stampOf(Date.UTC(2026, 10, 25, 19, 7, 59) / 1000), "202611251907");
    assert.equal(names.freeStamp("202611251907", []), "202611251907");
    assert.equal(names.freeStamp("202611251907", ["202611251907"]), "202611251908");
    assert.equal(names.freeStamp("202611251907", ["202612312359"]), "202701010000");
    const times = fc.integer({ min: 0, max: 4e9 });
    fc.assert(
      fc.property(times, fc.array(times), (now, before) => {
        const stamp = names.freeStamp(names.stampOf(now), before.map(names.stampOf));
        assert.ok(names.isStamp(stamp) && before.every((one) => names.stampOf(one) < stamp));
      }),
    );
  });
});

describe("what is noted on a root", () => {
  const intent = { from: "vm-1-root", snapshot: "left-202611251907-at-202611251908" };
  const shape = {
    ...{ architecture: "amd64", cores: 2, memoryMebibytes: 512, firmware: "uefi" as const },
    nics: [{ network: "lan", mac: "52:54:00:00:00:01", tag: 7, forwards: { 2222: 22 } }],
  };

  test("is read back as it was written", () => {
    for (const one of [{}, intent, { ...intent, isStaged: true }, { isGoingBack: true }]) {
      assert.deepEqual(parseIntent(printIntent(one)), one);
    }
    assert.deepEqual(parseShape(printShape(shape)), shape);
  });

  test("is not believed when somebody else has written it", () => {
    const texts = ["", "{", "[]", "null", "1", '{"from":1}', '{"from":"../x"}', '{"isStaged":false}', '{"then":"x"}'];
    for (const text of [...texts, '{"snapshot":"x"}']) assert.equal(parseIntent(text), undefined, text);
    const printed = printShape(shape);
    const wrong = ["", "{}", "[]", "null", ` ${printed}`, printed.replace("2", "0"), printed.replace("uefi", "efi")];
    for (const text of wrong) assert.equal(parseShape(text), undefined, text);
    for (let cut = 0; cut < printed.length; cut++) assert.equal(parseShape(printed.slice(0, cut)), undefined);
  });
});

describe("a program as plain data", () => {
  const os = operatingSystem({ hostName: "x", fileSystems: [] });
  const facts: SystemFacts = { systemHash: "0".repeat(64), architecture: "amd64", checks: [] };
  const desired = (machines: Record<string, Omit<Parameters<typeof machine>[0], "os">>) => {
    const records = Object.fromEntries(
      Object.entries(machines).map(([path, more]) => [path, machine({ os, ...more })]),
    );
    const record = centre({
      ...{ name: "c", pool: directoryPool({ path: "pool" }), hypervisor: qemu({ directory: "machines" }) },
      machines: records,
    });
    return desiredCentre(record, new Map(Object.keys(machines).map((path) => [path, facts])));
  };

  test("names machines, volumes and addresses so that they stay", () => {
    const [one] = desired({
      "slurm/ctld": { vmid: 233, volumes: { state: volume({ size: "1GiB" }) }, nics: [nic({})] },
    }).machines;
    assert.deepEqual(one!.id, { name: "slurm-ctld", vmid: 233 });
    assert.equal(one!.volumes[0]!.image, "vm-233-state");
    assert.match(one!.spec.nics[0]!.mac, /^52:54(:[0-9a-f]{2}){4}$/);
    const [again] = desired({ "slurm/ctld": { nics: [nic({})] }, other: {} }).machines.slice(-1);
    assert.equal(again!.spec.nics[0]!.mac, one!.spec.nics[0]!.mac);
  });

  test("groups members by name, and lets one be down unless it is said otherwise", () => {
    const { groups } = desired({ b: { group: "dns" }, a: { group: "dns" }, c: {} }).limits;
    assert.deepEqual(groups, {
      dns: {
        mayBeDown: 1,
        members: [
          { path: "a", id: { name: "a" } },
          { path: "b", id: { name: "b" } },
        ],
      },
    });
  });

  test("refuses two disks of one name, two machines of one address, and drains through nobody", () => {
    const size = volume({ size: "1GiB" });
    assert.throws(
      () => desired({ a: { volumes: { "b-c": size } }, "a-b": { volumes: { c: size } } }),
      /both be called a-b-c/,
    );
    assert.throws(() => desired({ a: { volumes: { "root-1": size } } }), /the volume "root-1"/);
    assert.throws(() => desired({ a: { volumes: { ["x".repeat(21)]: size } } }), /20 at most/);
    const drain = [drainCommands({ on: "nobody", title: "weight", before: ["true"], after: ["true"] })];
    assert.throws(() => desired({ a: { drain } }), /weight runs on nobody/);
    const same = nic({ mac: "52:54:00:12:34:56" });
    assert.throws(() => desired({ a: { nics: [same] }, b: { nics: [same] } }), /both have the address/);
  });
});
