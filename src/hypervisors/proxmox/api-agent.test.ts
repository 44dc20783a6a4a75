import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withCluster } from "./cluster.testing.ts";

test("commands with input and exit code, files small and large, bytes of every kind", () =>
  withCluster({}, async ({ driver, emulator, id, folder }) => {
    await driver.powerOn(id, 5);
    const agent = driver.agent(id);
    await agent.ping(1);
    const said = await agent.exec(["/bin/sh", "-c", "cat; echo wröng >&2; exit 3"], { input: "hello ✓" });
    assert.deepEqual(said, { exitCode: 3, stdout: "hello ✓", stderr: "wröng\n" });
    assert.equal((await agent.exec(["/bin/sh", "-c", "kill -9 $$"])).exitCode, 137);
    const large = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7 + (index >> 8)) % 256));
    for (const bytes of [Buffer.alloc(0), large.subarray(0, 5000), large]) {
      await agent.writeFile("/guest/etc/key", bytes);
      assert.ok(readFileSync(join(folder, "etc/key")).equals(bytes), `${bytes.length} bytes`);
      assert.ok((await agent.readFile("/guest/etc/key")).equals(bytes));
    }
    assert.deepEqual(readdirSync(join(folder, "etc")), ["key"], "no pieces are left");
    const pieces = emulator.heard.filter(({ path }) => path.endsWith("file-write"));
    for (const { parameters } of pieces) assert.ok(String(parameters.content).length <= 61_440);
    await assert.rejects(agent.exec(["/bin/cat"], { input: Buffer.alloc(65_537) }), { code: "invalid-setting" });
    await assert.rejects(agent.readFile("/guest/none"), { code: "agent-refused" });
    await agent.shutdown();
    assert.equal((await driver.inspect(id))!.power, "off");
  }));

test("silence: not configured is told at once, nobody there after the deadline, a machine that is off too", () =>
  withCluster({}, async ({ driver, hardware, machine, id }) => {
    const agent = driver.agent(id);
    await assert.rejects(agent.ping(0.1), { code: "agent-silent" });
    await driver.powerOn(id, 5);
    hardware.guest(127).hasAgent = false;
    await assert.rejects(agent.ping(0.3), { code: "agent-silent", message: /within 0\.3 s[\s\S]*cold start/ });
    setTimeout(() => {
      hardware.guest(127).hasAgent = true;
    }, 300);
    await agent.ping(5);
    machine.keys.delete("agent");
    const start = performance.now();
    await assert.rejects(agent.ping(30), { code: "agent-silent", message: /No QEMU guest agent configured/ });
    assert.ok(performance.now() - start < 2000);
    await assert.rejects(driver.agent({ name: "nobody", vmid: 999 }).ping(1), { code: "no-machine" });
  }));

test("a program that is not there: 8.4 loses the reply over its quotes, which is no fault of the network", async () => {
  for (const version of [8, 9] as const) {
    await withCluster({ version }, async ({ driver, id }) => {
      await driver.powerOn(id, 5);
      const missing = driver.agent(id).exec(["/no/such/program"]);
      await assert.rejects(missing, { code: "agent-refused", message: /\/no\/such\/program/ });
    });
  }
});

test("a result is handed out once: when that answer is lost, so is the result, and it is said", () =>
  withCluster({}, async ({ driver, emulator, id }) => {
    await driver.powerOn(id, 5);
    const agent = driver.agent(id);
    emulator.fault({ method: "GET", path: /exec-status$/, kind: "lost" });
    await assert.rejects(agent.exec(["/bin/true"]), { code: "unknown-outcome", message: /how \/bin\/true ended/ });
    // A command is never run twice by itself.
    emulator.fault({ method: "POST", path: /exec$/, kind: "lost" });
    await assert.rejects(agent.exec(["/bin/true"]), { code: "unknown-outcome" });
    assert.equal(emulator.heard.filter(({ path }) => path.endsWith("/exec")).length, 2);
  }));

test("what is too long for one answer is an error, never half a result", () =>
  withCluster({}, async ({ driver, id, folder }) => {
    await driver.powerOn(id, 5);
    const agent = driver.agent(id);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "most"), Buffer.alloc((16 << 20) - 1, "m"));
    assert.equal((await agent.readFile("/guest/most")).length, (16 << 20) - 1);
    writeFileSync(join(folder, "more"), Buffer.alloc((16 << 20) + 1, "m"));
    await assert.rejects(agent.readFile("/guest/more"), { code: "agent-refused", message: /16 MiB/ });
  }));
