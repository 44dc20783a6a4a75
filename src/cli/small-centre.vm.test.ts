import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type MesoRun, projectFolder, runMeso, startMeso } from "../test-support/meso-process.ts";
import { testSession } from "../test-support/test-session.ts";

// The tour of the README, as it is typed there, on the small centre of the examples.

const folder = mkdtempSync(join(tmpdir(), "meso-tour-"));
const program = join(folder, "small-centre");
const session = testSession();
cpSync(join(projectFolder, "examples/small-centre"), program, {
  recursive: true,
  filter: (path) => !/\/(\.meso|key|key\.pub|meso\.lock)(\/|$)/.test(path),
});
mkdirSync(join(folder, "home/.ssh"), { recursive: true, mode: 0o700 });

const inProgram = {
  store: session.store.directory,
  cwd: program,
  env: { HOME: join(folder, "home"), MESO_DEBIAN_MIRROR: undefined, MESO_DEBIAN_SECURITY_MIRROR: undefined },
};

async function meso(...words: string[]): Promise<MesoRun> {
  const run = await runMeso(words, inProgram);
  assert.doesNotMatch(run.stdout + run.stderr, /^ {4}at /m, "no stack trace");
  return run;
}

after(async () => {
  await meso("down", "--forget");
  rmSync(folder, { recursive: true, force: true });
});

const told = ({ code, stdout, stderr }: MesoRun): string => `ended with ${code}\n${stdout}${stderr}`;
const page = async (port: number) => (await fetch(`http://127.0.0.1:${port}/`)).text();
const hostKey = async (machine: string) =>
  (await meso("ssh", machine, "--", "-i", "key", "cat", "/srv/state/ssh_host_ed25519_key.pub")).stdout;

test("up, an edited line, plan, deploy, roll back, down", async () => {
  const without = await meso("plan");
  assert.equal(without.code, 1);
  assert.match(without.stderr, /key\.pub is missing beside template\.ts: ssh-keygen/);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(program, "key")]);

  const up = await meso("up");
  assert.equal(up.code, 0, told(up));
  for (const port of [8081, 8082]) assert.equal(await page(port), "Hello from the small centre\n");
  const key = await hostKey("web/one");
  assert.match(key, /^ssh-ed25519 /);
  const again = await meso("plan");
  assert.equal(again.code, 3, told(again));
  assert.match(again.stdout, /3 machines are as declared/);
  await whileAllIsAsDeclared();

  const file = join(program, "centre.ts");
  writeFileSync(file, readFileSync(file, "utf8").replace("Hello from", "Greetings from"));
  const plan = await meso("plan");
  assert.equal(plan.code, 0, told(plan));
  assert.match(plan.stdout, /^ +-.*Hello from the small centre/m);
  assert.match(plan.stdout, /^ +\+.*Greetings from the small centre/m);
  assert.match(plan.stdout, /1 machine is as declared/);

  const deploy = await meso("deploy", "--yes", "web/one");
  assert.equal(deploy.code, 0, told(deploy));
  assert.equal(await page(8081), "Greetings from the small centre\n");
  assert.equal(await page(8082), "Hello from the small centre\n");
  assert.equal(await hostKey("web/one"), key, "a new root does not change who the machine is");

  const back = await meso("roll-back", "--yes", "web/one");
  assert.equal(back.code, 0, told(back));
  assert.equal(await page(8081), "Hello from the small centre\n");
  await whileOneRunsItsOldRoot();

  const down = await meso("down");
  assert.equal(down.code, 0, told(down));
  const left = readdirSync(join(program, ".meso/machines"), { recursive: true, encoding: "utf8" });
  assert.deepEqual(
    left.filter((name) => name.endsWith("/pid")),
    [],
    "no machine runs",
  );
});

/** Runs a command that must end with this code, and gives what it printed. */
async function printed(code: number, ...words: string[]): Promise<string> {
  const run = await meso(...words);
  assert.equal(run.code, code, told(run));
  return run.stdout;
}

async function whileAllIsAsDeclared(): Promise<void> {
  assert.match(await printed(0, "status"), /^web\/one +as declared +on /m);
  const { machines } = JSON.parse(await printed(0, "status", "--json"));
  assert.deepEqual(
    machines.map(({ path, standing }: { path: string; standing: string }) => [path, standing]),
    ["gate", "web/one", "web/two"].map((path) => [path, "as-declared"]),
  );
  assert.match(await printed(0, "generations", "web/one"), /^web\/one\n {2}\* +1 .* runs now, passed \d+ checks/);
  const unit = await printed(0, "explain", "/etc/systemd/system/greeter.service", "web/one");
  assert.match(unit, /service greeter \(centre\.ts:\d+/);
  assert.match(await printed(0, "explain", "/usr/sbin/nginx", "web/one"), /package nginx .*greeter/s);
  assert.match(await printed(1, "explain", "/usr/sbin/nginz", "web/one"), /did you mean:\n +\/usr\/sbin\/nginx/);
  await printed(0, "diff", "web/one");
  assert.match(await printed(1, "diff", "web/one", "web/two"), /^ +\+web-two$/m);
  // The lock of a fresh tour pins what the archives offer now, so that nothing is waiting.
  assert.match(await printed(0, "audit"), /^0 of 3 machines have updates waiting/);
  assert.match(await printed(0, "prune", "--dry-run"), /nothing to remove/);
  assert.match(await printed(0, "unlock", "--yes"), /nobody works on /);
  const adopt = await meso("adopt", "--yes", "web/one");
  assert.equal(adopt.code, 1, told(adopt));
  assert.match(adopt.stderr, /web\/one's of small/);
  await atTheConsole();
}

/** What a person sees who presses Enter, and how they leave. */
async function atTheConsole(): Promise<void> {
  const { child, ended } = startMeso(["console", "gate"], { ...inProgram, stdin: "pipe" });
  let seen = "";
  child.stdout!.on("data", (text: string) => {
    seen += text;
  });
  const deadline = Date.now() + 60_000;
  while (!seen.includes("gate login:") && Date.now() < deadline && child.exitCode === null) {
    child.stdin!.write("\r");
    await sleep(500);
  }
  child.stdin!.write("\x1d");
  const run = await ended;
  assert.equal(run.code, 0, told(run));
  assert.match(run.stdout, /gate login:/);
}

async function whileOneRunsItsOldRoot(): Promise<void> {
  assert.match(
    await printed(1, "status"),
    /^web\/one +drifted .*\n +runs [0-9a-f]{8}, declared [0-9a-f]{8}: meso plan/m,
  );
  assert.match(await printed(1, "diff", "web/one"), /^\s*\+.*Greetings from the small centre/m);
  const generations = await printed(0, "generations", "web/one");
  assert.equal(generations.split("\n").filter((line) => /^ +\* /.test(line)).length, 1, generations);
  assert.match(generations, /\* +1 .*runs now/);
  assert.match(generations, /^ +2 /m);
}
