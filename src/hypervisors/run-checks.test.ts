import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { failure } from "../base/error.ts";
import type { ManifestCheck } from "../system/manifest.ts";
import { listeners } from "./check-observations.ts";
import type { GuestAgent, GuestCommandResult } from "./guest-agent.ts";
import { runChecks } from "./run-checks.ts";

type Answer = (command: string, argv: readonly string[]) => string | Partial<GuestCommandResult> | undefined;

/** Answers what it is told to, and runs everything else on this host. */
function agentThat(answer: Answer, ping = () => {}): GuestAgent {
  const refuse = () => Promise.reject(failure("agent-refused", "the guest agent refuses that"));
  return {
    ping: async () => ping(),
    exec: async (argv) => {
      const said = answer(argv.join(" "), argv);
      if (typeof said === "string") return { exitCode: 0, stdout: said, stderr: "" };
      if (said) return { exitCode: 0, stdout: "", stderr: "", ...said };
      const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { encoding: "utf8" });
      return { exitCode: status ?? 1, stdout, stderr };
    },
    ...{ readFile: refuse, writeFile: refuse, shutdown: refuse },
  };
}

const unitActive = (unit: string): ManifestCheck => ({
  ...{ kind: "unit-active", name: `${unit} is active`, service: "web", unit },
});
const portAnswers = (port: number, protocol: "tcp" | "udp" = "tcp"): ManifestCheck => ({
  ...{ kind: "port-answers", name: `${protocol} port ${port} answers`, service: "web", port, protocol },
});
const commandSucceeds = (...command: string[]): ManifestCheck => ({
  ...{ kind: "command-succeeds", name: `${command.join(" ")} succeeds`, service: "web", command },
});

const running: Answer = (command) => (command.includes("is-system-running") ? "running\n" : undefined);
const unit = (active: string, sub = "x", load = "loaded", result = "success") =>
  `LoadState=${load}\nActiveState=${active}\nSubState=${sub}\nResult=${result}\n`;

test("all is well at once", async () => {
  const agent = agentThat((command, argv) => {
    if (command.includes("systemctl show")) {
      assert.deepEqual(argv.slice(-2), ["a.service", "b.service"]);
      return `${unit("active")}\n${unit("active")}`;
    }
    return running(command, argv);
  });
  const checks = [unitActive("a.service"), unitActive("b.service"), unitActive("a.service"), commandSucceeds("true")];
  const report = await runChecks(agent, checks, { deadlineSeconds: 5 });
  assert.deepEqual([report.passed, report.failed, report.results.length], [true, [], 5]);
  assert.ok(report.seconds < 1);
});

test("what needs time is waited for", async () => {
  let round = 0;
  const agent = agentThat((command) => {
    if (command.includes("is-system-running")) return ++round > 2 ? "running\n" : "starting\n";
    if (command.includes("systemctl show")) return round > 3 ? unit("active") : unit("activating", "auto-restart");
    return undefined;
  });
  const report = await runChecks(agent, [unitActive("slow.service")], { deadlineSeconds: 20 });
  assert.ok(report.passed);
  assert.equal(round, 4);
});

test("a failed unit ends the wait early, with what it said", async () => {
  let starting = 3;
  const agent = agentThat((command) => {
    if (command.includes("is-system-running"))
      return starting-- > 0 ? "starting\n" : { stdout: "degraded\n", exitCode: 1 };
    if (command.includes("list-units --failed")) return "web.service loaded failed failed A web server\n";
    if (command.includes("systemctl show")) return unit("failed", "failed", "loaded", "exit-code");
    if (command.includes("journalctl"))
      return "Starting web.service - A web server...\nno such file: /etc/web\nweb.service: Main process exited\n";
    return undefined;
  });
  const started = performance.now();
  const report = await runChecks(agent, [unitActive("web.service"), commandSucceeds("true")], { deadlineSeconds: 600 });
  assert.ok(performance.now() - started < 20_000);
  assert.deepEqual(report.failed, [
    "system: the machine has started, and nothing failed: failed units: web.service; it said: no such file: /etc/web",
    "web: web.service is active: it is failed (exit-code); it said: no such file: /etc/web",
  ]);
  assert.equal(report.results.length, 3);
});

test("emergency mode is not waited for", async () => {
  const agent = agentThat((command) => {
    if (command.includes("is-system-running")) return { stdout: "maintenance\n", exitCode: 1 };
    if (command.includes("journalctl"))
      return "Timed out waiting for device /dev/sdb.\nDependency failed for /state.\n";
    return undefined;
  });
  const { failed } = await runChecks(agent, [], { deadlineSeconds: 600 });
  assert.match(
    failed.join(),
    /emergency mode; it said: Timed out waiting for device .* \| Dependency failed for \/state/,
  );
});

test("a unit that is not there, and a failing command, at the deadline, which is stretched", async () => {
  const agent = agentThat((command, argv) =>
    command.includes("systemctl show") ? unit("inactive", "dead", "not-found") : running(command, argv),
  );
  const absent = await runChecks(agent, [unitActive("none.service")], { deadlineSeconds: 600 });
  assert.deepEqual(absent.failed, ["web: none.service is active: systemd says not-found"]);
  const started = performance.now();
  const check = commandSucceeds("sh", "-c", "echo one; echo two >&2; exit 3");
  const { failed } = await runChecks(agent, [check], { deadlineSeconds: 0.2, timeScale: 5 });
  const seconds = (performance.now() - started) / 1000;
  assert.ok(seconds > 0.9 && seconds < 5, `${seconds}`);
  assert.deepEqual(failed, [`web: ${check.name}: it ended with code 3; it said: two`]);
});

test("an agent that is silent, or refuses, is told; nothing is taken for passed", async () => {
  const silent = agentThat(running, () => {
    throw failure("agent-silent", "the guest agent did not answer");
  });
  const report = await runChecks(silent, [commandSucceeds("true")], { deadlineSeconds: 0.1 });
  assert.deepEqual(
    report.results.map(({ passed, reason }) => [passed, reason]),
    [
      [false, "the guest agent did not answer"],
      [false, "could not be looked at"],
    ],
  );
  const refusing = { ...silent, ping: async () => {}, exec: silent.shutdown as never };
  const refused = await runChecks(refusing, [unitActive("a.service")], { deadlineSeconds: 0.1 });
  assert.equal(refused.failed.filter((line) => line.endsWith("the guest agent refuses that")).length, 2);
});

test("a round that begins shortly before the deadline has time to ask", async () => {
  const patience: number[] = [];
  const agent = { ...agentThat(running), ping: async (seconds: number) => void patience.push(seconds) };
  const { failed } = await runChecks(agent, [commandSucceeds("false")], { deadlineSeconds: 0.3 });
  assert.match(failed.join(), /ended with code 1/);
  assert.ok(patience.length > 1 && Math.min(...patience) >= 1, patience.join());
});

test("ports: found in the kernel's tables, and connected to where somebody listens", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = server.address() as { port: number };
  const udp = socket.address().port;
  const agent = agentThat(running);
  try {
    const checks = [portAnswers(port), portAnswers(udp, "udp")];
    assert.ok((await runChecks(agent, checks, { deadlineSeconds: 5 })).passed);
    assert.deepEqual(listeners(readFileSync("/proc/net/tcp", "utf8"), port, "tcp"), ["127.0.0.1"]);
  } finally {
    server.close();
    socket.close();
  }
  const closed = await runChecks(agent, [portAnswers(port), portAnswers(udp, "udp")], { deadlineSeconds: 0.1 });
  assert.deepEqual(closed.failed, [
    `web: tcp port ${port} answers: nobody listens on tcp port ${port}`,
    `web: udp port ${udp} answers: nobody listens on udp port ${udp}`,
  ]);
});

test("the kernel's tables: every address, listeners only, rubbish left out", () => {
  const row = (local: string, state: string) => `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:0`;
  const tables = [
    "  sl  local_address rem_address   st",
    row("0100007F:0016", "0A"),
    row("0100007F:0017", "01"),
    row("00000000:0050", "0A"),
    row("00000000000000000000000000000000:0050", "0A"),
    row("B80D01200000000000000000010000FE:0051", "0A"),
    row("zz:0016", "0A"),
    "",
  ].join("\n");
  assert.deepEqual(listeners(tables, 22, "tcp"), ["127.0.0.1"]);
  assert.deepEqual(listeners(tables, 23, "tcp"), []);
  assert.deepEqual(listeners(tables, 80, "tcp"), ["127.0.0.1", "::1"]);
  assert.deepEqual(listeners(tables, 81, "tcp"), ["2001:db8:0:0:0:0:fe00:1"]);
});
