import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { MesoError } from "../base/error.ts";
import { basePackages, channel, fileSystem, inherit, label, operatingSystem } from "../index.ts";
import { locationOf } from "../language/record.ts";
import { testSession } from "../test-support/test-session.ts";
import { prepareSystem } from "./prepare.ts";

const session = testSession();
const system = operatingSystem({
  hostName: "a",
  fileSystems: [fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" })],
  packages: [...basePackages, "openssh-server"],
});

const namesOf = async (os: typeof system) => (await prepareSystem(session, os)).packages.map(({ name }) => name);

test("what packages recommend comes when the record asks for it", async () => {
  const without = await namesOf(system);
  const asked = await namesOf(inherit(system, { recommends: ["openssh-server"] }));
  assert.ok(!without.includes("ncurses-term"));
  assert.ok(asked.includes("ncurses-term"));
  assert.deepEqual(
    without.filter((name) => !asked.includes(name)),
    [],
  );
});

test("what an absent package recommends cannot be asked for", async () => {
  await assert.rejects(namesOf(inherit(system, { recommends: ["openssh-servr"] })), (error) => {
    assert.ok(error instanceof MesoError);
    const [problem] = error.problems;
    assert.equal(problem?.code, "recommends-of-absent");
    assert.match(problem?.hint ?? "", /openssh-server/);
    assert.match(problem?.where?.file ?? "", /prepare\.test\.ts$/);
    return true;
  });
});

test("a suite that no mirror has is shown where the record names it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "meso-prepare-"));
  const usual = process.env.MESO_DEBIAN_MIRROR;
  process.env.MESO_DEBIAN_MIRROR = `${pathToFileURL(folder)}`;
  t.after(() => {
    rmSync(folder, { recursive: true });
    if (usual === undefined) delete process.env.MESO_DEBIAN_MIRROR;
    else process.env.MESO_DEBIAN_MIRROR = usual;
  });
  const misspelt = inherit(system, { channel: channel({ suite: "tricksy", updates: false, security: false }) });
  const elsewhere = { ...session, lockFile: join(folder, "meso.lock") };
  await assert.rejects(prepareSystem(elsewhere, inherit(misspelt, { hostName: "b" })), (error) => {
    assert.ok(error instanceof MesoError);
    const [problem] = error.problems;
    assert.deepEqual([problem?.code, problem?.field], ["unknown-suite", "channel.suite"]);
    assert.deepEqual(problem?.where, locationOf(misspelt));
    return true;
  });
});
