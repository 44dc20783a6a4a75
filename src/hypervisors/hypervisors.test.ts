import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { guestAgent } from "./guest-agent.ts";
import { chooseAccelerator } from "./qemu-accelerator.ts";
import { findQemu } from "./qemu-program.ts";
import { serialConsole } from "./serial-console.ts";
import { startMachine } from "./start-machine.ts";

/** Two ends of a unix socket: ours, and the machine's. */
async function withLine(body: (ours: Socket, theirs: Socket) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-line-"));
  const server = createServer();
  try {
    const arrived = new Promise<Socket>((resolve) => server.once("connection", resolve));
    await new Promise<void>((resolve) => server.listen(join(folder, "s"), resolve));
    const theirs = connect(join(folder, "s"));
    const ours = await arrived;
    await body(ours, theirs);
    ours.destroy();
    theirs.destroy();
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
}

interface Request {
  readonly execute: string;
  readonly arguments?: Record<string, unknown>;
}

/** An agent that starts late, with an old answer still in the line. */
function fakeAgent(line: Socket, answers: (request: Request) => object | undefined, deafMilliseconds = 0): void {
  const start = performance.now();
  let rest = "";
  line.setEncoding("latin1").on("data", (chunk: string) => {
    if (performance.now() - start < deafMilliseconds) return;
    const lines = (rest + chunk).replaceAll("\xff", "").split("\n");
    rest = lines.pop()!;
    for (const text of lines) {
      const request = JSON.parse(text) as Request;
      const isSync = request.execute === "guest-sync-delimited";
      const reply = isSync ? { return: request.arguments!.id } : answers(request);
      if (isSync) line.write(Buffer.from('{"return": "stale"}\n{"half\xff', "latin1"));
      if (reply) line.write(`${JSON.stringify(reply)}\n`);
    }
  });
}

test("agent: runs a command, moves files, tells refusals; survives rubbish in the line", () =>
  withLine(async (ours, theirs) => {
    const stored: Buffer[] = [];
    let asked = 0;
    fakeAgent(
      theirs,
      ({ execute, arguments: args }) => {
        switch (execute) {
          case "guest-exec":
            assert.deepEqual(args, { path: "/bin/cat", arg: ["-"], "capture-output": true, "input-data": "aGkg4pyT" });
            return { return: { pid: 7 } };
          case "guest-exec-status":
            if (asked++ < 2) return { return: { exited: false } };
            return { return: { exited: true, exitcode: 3, "out-data": Buffer.from("hi ✓").toString("base64") } };
          case "guest-file-open":
            return args!.path === "/none"
              ? { error: { class: "GenericError", desc: "No such file" } }
              : { return: 1000 };
          case "guest-file-write":
            stored.push(Buffer.from(String(args!["buf-b64"]), "base64"));
            return { return: { count: stored.at(-1)!.length } };
          case "guest-file-read":
            return {
              return: { "buf-b64": (stored.shift() ?? Buffer.alloc(0)).toString("base64"), eof: stored.length === 0 },
            };
          default:
            return { return: {} };
        }
      },
      600,
    );
    const agent = guestAgent(ours, 1);
    await agent.ping(5);
    assert.deepEqual(await agent.exec(["/bin/cat", "-"], { input: "hi ✓" }), {
      exitCode: 3,
      stdout: "hi ✓",
      stderr: "",
    });
    const bytes = Buffer.alloc(3_000_000, "abc");
    await agent.writeFile("/x", bytes);
    assert.equal(stored.length, 3);
    assert.ok((await agent.readFile("/x")).equals(bytes));
    await assert.rejects(agent.readFile("/none"), /refuses guest-file-open: No such file/);
    await agent.ping(1);
  }));

test("agent: silence is an error with a hint, and a late answer is not taken for the next one's", () =>
  withLine(async (ours, theirs) => {
    const agent = guestAgent(ours, 1);
    await assert.rejects(agent.ping(0.2), { code: "agent-silent" });
    let silent = true;
    fakeAgent(theirs, () => (silent ? undefined : { return: {} }));
    await assert.rejects(agent.ping(0.3), { code: "agent-silent" });
    silent = false;
    theirs.write('{"return": {"late": true}}\n');
    await agent.ping(2);
  }));

test("console: patterns across pieces, each piece of text matched once, deadlines with the last lines", () =>
  withLine(async (ours, theirs) => {
    const console = serialConsole(ours, 1);
    theirs.write("boot\r\nmini-1 lo");
    setTimeout(() => theirs.write("gin: "), 50);
    await console.waitFor("login: ", 2);
    await assert.rejects(
      console.waitFor("login: ", 0.1),
      /did not appear on the console \(within 0 s\)[\s\S]*mini-1 login/,
    );
    theirs.write("mini-1 login: ✓");
    assert.equal((await console.waitFor(/(\S+) login: ✓/, 2))[1], "mini-1");
    const typed = new Promise((resolve) => theirs.once("data", resolve));
    console.type("root\n");
    assert.equal(String(await typed), "root\n");
    theirs.destroy();
    await assert.rejects(console.waitFor("never", 5), /the machine ended before/);
  }));

test("what is missing is named with the package that brings it", async () => {
  assert.throws(() => findQemu("amd64", "/nowhere"), /apt-get install qemu-system-x86/);
  assert.throws(() => findQemu("m68k"), { code: "qemu-missing" });
  const disk = { kind: "raw", path: "/nowhere/disk" } as const;
  const start = startMachine({
    architecture: "amd64",
    disks: [disk],
    firmware: "bios",
    cacheDirectory: tmpdir(),
    accelerator: "tcg",
  });
  await assert.rejects(start, { code: "no-disk" });
});

test("the accelerator is tried once and remembered", () => {
  const cacheDirectory = mkdtempSync(join(tmpdir(), "meso-accelerator-"));
  const options = { program: findQemu("amd64"), architecture: "amd64", cacheDirectory };
  const first = chooseAccelerator(options);
  const start = performance.now();
  assert.equal(chooseAccelerator(options), first);
  assert.ok(performance.now() - start < 100);
  assert.equal(chooseAccelerator({ ...options, architecture: "riscv64" }), "tcg");
  rmSync(cacheDirectory, { recursive: true });
});

test("a process that is interrupted, or killed outright, leaves no machine; interrupted, no files either", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-kill-"));
  writeFileSync(join(folder, "disk"), Buffer.alloc(1 << 20));
  const program = `
    const { startMachine } = await import(${JSON.stringify(new URL("./start-machine.ts", import.meta.url).href)});
    await startMachine({ name: "meso-kill-test", architecture: "amd64", firmware: "bios", memoryMebibytes: 32, accelerator: "tcg",
      cacheDirectory: ${JSON.stringify(folder)}, disks: [{ kind: "raw", path: ${JSON.stringify(join(folder, "disk"))} }] });
    console.log("up");
  `;
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, TMPDIR: folder },
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    assert.equal(machinesNamed("meso-kill-test").length, 1);
    const ended = new Promise((resolve) => child.once("exit", (_, by) => resolve(by)));
    child.kill(signal);
    assert.equal(await ended, signal);
    for (let i = 0; i < 50 && machinesNamed("meso-kill-test").length > 0; i++) await sleep(100);
    assert.deepEqual(machinesNamed("meso-kill-test"), []);
    if (signal !== "SIGKILL")
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith("meso-vm-")),
        [],
      );
  }
  rmSync(folder, { recursive: true });
});

/** Running processes only: one that has ended and was not waited for has no command line. */
function machinesNamed(name: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    const file = `/proc/${pid}/cmdline`;
    if (!/^\d+$/.test(pid) || !existsSync(file)) return false;
    try {
      const words = readFileSync(file, "utf8").split("\0");
      return words[0]!.includes("qemu-system") && words.includes(name);
    } catch {
      return false;
    }
  });
}
