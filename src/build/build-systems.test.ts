import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { MesoError } from "../base/error.ts";
import { basePackages, fileSystem, inherit, label, type OperatingSystem, operatingSystem } from "../index.ts";
import { freshSession, testSession } from "../test-support/test-session.ts";
import { buildImages, prepareSystems } from "./build-systems.ts";
import { realiseSystem } from "./compose.ts";
import { type DiskImage, diskImage, layOutDisk } from "./disk-image.ts";
import { prepareSystem } from "./prepare.ts";

const session = testSession();
const base = operatingSystem({
  hostName: "a",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" })],
});
const systems = new Map<string, OperatingSystem>([
  ["web/a", base],
  ["web/b", inherit(base, { hostName: "b" })],
  ["tools", inherit(base, { hostName: "tools", packages: [...basePackages, "less"] })],
]);

test("many systems are what each of them is alone, by their keys and in their order", async () => {
  const prepared = await prepareSystems(session, systems);
  assert.deepEqual([...prepared.keys()], [...systems.keys()]);
  for (const [key, os] of systems) {
    const alone = await prepareSystem(session, os);
    assert.equal(prepared.get(key)?.systemHash, alone.systemHash, key);
    assert.deepEqual(prepared.get(key)?.packages, alone.packages, key);
  }
  const wanted = new Map([...prepared].map(([key, one]) => [key, { prepared: one }]));
  const built: { key: string; image: DiskImage }[] = [];
  for await (const one of buildImages(session, wanted)) built.push(one);
  assert.deepEqual(
    built.map(({ key }) => key),
    [...systems.keys()],
  );
  for (const { key, image } of built) {
    const kept = await diskImage(session, prepared.get(key)!);
    assert.equal(image.imageHash, kept.imageHash, key);
    const anew = await layOutDisk(session, await realiseSystem(session, prepared.get(key)!));
    assert.equal(image.imageHash, anew.imageHash, key);
  }
});

test("images are made ahead by child processes; one that dies leaves its work to this one; none outlives the caller", async () => {
  const fresh = freshSession();
  try {
    const many = new Map(
      Array.from({ length: 6 }, (_, i): [string, OperatingSystem] => [`m${i}`, inherit(base, { hostName: `m${i}` })]),
    );
    const wanted = new Map([...(await prepareSystems(fresh, many))].map(([key, one]) => [key, { prepared: one }]));
    const built = new Map<string, string>();
    for await (const { key, image } of buildImages(fresh, wanted)) {
      if (key === "m0") {
        assert.ok(childProcesses().length > 0);
        for (const pid of childProcesses()) process.kill(pid, "SIGKILL");
      }
      built.set(key, image.imageHash);
    }
    assert.deepEqual([...built.keys()], [...many.keys()]);
    for (const [key, { prepared }] of wanted) {
      assert.equal(built.get(key), (await layOutDisk(fresh, await realiseSystem(fresh, prepared))).imageHash, key);
    }
    const others = new Map([...wanted].map(([key, { prepared }]) => [key, { prepared, size: 8 * 2 ** 30 }]));
    for await (const { key } of buildImages(fresh, others)) if (key === "m1") break;
    for (let tries = 0; childProcesses().length > 0 && tries < 100; tries++) await setTimeout(50);
    assert.deepEqual(childProcesses(), []);
  } finally {
    fresh.remove();
  }
});

/** Numbers of the child processes that this one has now and that are no remains. */
function childProcesses(): number[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim();
  return children.split(" ").filter(Boolean).map(Number);
}

test("a disk has the size that is wished for", async () => {
  const prepared = await prepareSystems(session, new Map([["a", base]]));
  const wanted = new Map([["a", { prepared: prepared.get("a")!, size: 8 * 2 ** 30 }]]);
  for await (const { image } of buildImages(session, wanted)) assert.equal(image.recipe.size, 8 * 2 ** 30);
});

test("the mistakes of all systems are told at once, those that they share a single time", async () => {
  const wrong = inherit(base, { packages: [...basePackages, "lesss"] });
  const mistaken = new Map<string, OperatingSystem>([
    ["a", wrong],
    ["b", inherit(wrong, { hostName: "b" })],
    ["c", base],
    ["d", inherit(base, { packages: [...basePackages, "nanno"] })],
  ]);
  await assert.rejects(prepareSystems(session, mistaken), (error) => {
    assert.ok(error instanceof MesoError);
    assert.deepEqual(
      error.problems.map(({ code, what }) => [code, /lesss|nanno/.exec(what)?.[0]]),
      [
        ["unknown-package", "lesss"],
        ["unknown-package", "nanno"],
      ],
    );
    return true;
  });
});
