import assert from "node:assert/strict";
import { test } from "node:test";
import { baseFileSystems, fileSystem, label, machine, operatingSystem, volume, withStateVolume } from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { missingStateDisks } from "./state-disks.ts";

test("a machine that lacks the disk of its system's state is told, before it waits for it at every boot", () => {
  const root = fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" });
  const plain = operatingSystem({ hostName: "a", fileSystems: [root, ...baseFileSystems] });
  const os = withStateVolume({ disk: "kept" })(plain);
  const volumes = { kept: volume({ size: "1GiB" }), state: volume({ size: "1GiB" }) };
  const machines = {
    whole: machine({ os, volumes }),
    "web/one": machine({ os, volumes: { state: volumes.state } }),
    none: machine({ os: plain }),
  };
  const systems = new Map(Object.entries(machines).map(([path, one]) => [path, { manifest: lowerSystem(one.os) }]));
  assert.deepEqual(
    missingStateDisks({ machines }, systems).map(({ code, what }) => [code, what]),
    [["missing-volume", "the system of web/one keeps its state on the disk kept, which the machine does not have"]],
  );
});
