import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  credentials,
  fileSystem,
  label,
  operatingSystem,
  secret,
  simpleService,
  systemdUnits,
  unit,
} from "../index.ts";
import { testSession } from "../test-support/test-session.ts";
import { withMachines } from "./index.ts";

test("a story that gives no value for a secret is told so for every machine, before anything is built", async () => {
  const session = testSession();
  const os = operatingSystem({
    hostName: "needs",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: [
      ...baseServices,
      simpleService("unit", systemdUnits, [unit({ name: "needs.service", text: "[Service]\nExecStart=/bin/true\n" })]),
      simpleService("common", credentials, [{ secret: secret("common"), units: ["needs.service"] }]),
      simpleService("own", credentials, [{ secret: secret("own"), units: ["needs.service"] }]),
    ],
  });
  const story = withMachines(
    { one: { os, secrets: { own: "value 1" } }, other: os },
    () => assert.fail("the story begins"),
    { lock: session.lockFile, store: session.store.directory, secrets: { unasked: "value 2" } },
  );
  await assert.rejects(story, (error: Error & { code?: string }) => {
    assert.equal(error.code, "no-secret");
    for (const words of [
      /^one needs the secret common/m,
      /other needs the secret common/,
      /other needs the secret own/,
    ]) {
      assert.match(error.message, words);
    }
    assert.doesNotMatch(error.message, /one needs the secret own|value/);
    return true;
  });
});
