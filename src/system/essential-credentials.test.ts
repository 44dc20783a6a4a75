import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { label } from "../language/device.ts";
import { fileSystem } from "../language/file-system.ts";
import { inherit } from "../language/inherit.ts";
import { defineOperatingSystem } from "../language/operating-system.ts";
import { secret } from "../language/secret.ts";
import { type Service, simpleService } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { credentials, type SecretFile, secretFile, secretFiles } from "./essential-credentials.ts";
import { systemdUnits, unit } from "./essential-units.ts";
import { lowerSystem } from "./lower.ts";
import type { SystemManifest } from "./manifest.ts";
import { systemHash } from "./manifest-hash.ts";

const root = fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" });
const base = defineOperatingSystem({ packages: [], services: [] })({ hostName: "a", fileSystems: [root] });
const folder = mkdtempSync(join(tmpdir(), "meso-credentials-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const munge = secret("munge-key");
const password = secret("slurm-db");
const daemon = unit({ name: "daemon.service", text: "[Service]\nExecStart=/bin/true\n" });
const config: SecretFile = secretFile({
  path: "/run/slurmdbd/slurmdbd.conf",
  content: text`
    StorageLoc=@HERE@
    StoragePass=@PASS@
    AuthInfo=@PASS@/@MUNGE@
  `,
  secrets: { PASS: password, MUNGE: munge },
  mode: 0o640,
  units: ["daemon.service"],
});

function lowered(...services: readonly Service[]): SystemManifest {
  return lowerSystem(inherit(base, { services }));
}

const manifest = lowered(
  simpleService("daemon", systemdUnits, [daemon]),
  simpleService("munge", credentials, [{ secret: munge, units: ["daemon.service", "other.service"] }]),
  simpleService("config", secretFiles, [config]),
);

function textOf(path: RegExp): string {
  const file = manifest.files.find((one) => path.test(one.path));
  assert.ok(file?.kind === "file", `${path} is written`);
  return file.text;
}

test("a system tells the names of its secrets, and nothing else of it depends on where they are", () => {
  assert.deepEqual(manifest.secrets, ["munge-key", "slurm-db"]);
  assert.deepEqual(manifest.origins?.secretSources, { "munge-key": { kind: "usual" }, "slurm-db": { kind: "usual" } });
  const at = (place: Parameters<typeof secret>[1]) =>
    lowered(simpleService("munge", credentials, [{ secret: secret("k", place), units: ["a.service"] }]));
  assert.equal(systemHash(at({ file: "~/k" }), []), systemHash(at({ environment: "K" }), []));
});

test("a unit waits for its secrets, and reads them as credentials", () => {
  assert.equal(
    textOf(/daemon\.service\.d\/meso-credentials\.conf$/),
    "[Unit]\nRequires=meso-credentials.service\nAfter=meso-credentials.service\n\n[Service]\nLoadCredential=munge-key\n",
  );
  assert.match(
    textOf(/meso-secret-files\.service\.d\/meso-credentials\.conf$/),
    /=munge-key\nLoadCredential=slurm-db\n/,
  );
  assert.match(textOf(/daemon\.service\.d\/meso-secret-files\.conf$/), /^Requires=meso-secret-files\.service$/m);
  assert.match(
    textOf(/meso-credentials\.service$/),
    /^ExecStart=\/meso\/store\/\S+-await-credentials munge-key slurm-db$/m,
  );
});

test("systemd accepts the units of secrets", { skip: !existsSync("/usr/bin/systemd-analyze") }, () => {
  const units = manifest.files.filter(({ path }) => path.startsWith("/etc/systemd/system/"));
  const names = units.map((file) => {
    assert.ok(file.kind === "file");
    const path = join(folder, "units", file.path.slice("/etc/systemd/system/".length));
    mkdirSync(dirname(path), { recursive: true });
    // Programs and templates are in the store of the image, not of this machine.
    writeFileSync(path, file.text.replace(/=\/meso\/store\/\S+/g, "=/bin/true"));
    return path;
  });
  const services = names.filter((name) => name.endsWith(".service"));
  const verified = spawnSync("systemd-analyze", ["verify", "--man=no", ...services], { encoding: "utf8" });
  assert.deepEqual(
    verified.stderr.split("\n").filter((line) => /daemon|meso-/.test(line)),
    [],
  );
});

test("units wait until every secret is there; what was kept on the state disk counts, and does not replace what is newer", async () => {
  const inside = (path: string) => join(folder, "waiting", path);
  for (const path of ["run/credstore", "state/credstore"]) mkdirSync(inside(path), { recursive: true });
  writeFileSync(inside("state/credstore/munge-key"), "older", { mode: 0o600 });
  writeFileSync(inside("run/credstore/munge-key"), "newer");
  const program = textOf(/-await-credentials$/).replace("sleep 1", "sleep 0.02");
  const binds = ["--dev-bind", "/", "/", "--bind", inside("run"), "/run", "--tmpfs", "/var/lib"];
  const state = ["--bind", inside("state"), "/var/lib/meso", "--dev-bind", "/dev/null", "/dev/console"];
  const waiting = spawn("bwrap", [...binds, ...state, "/bin/sh", "-c", program, "sh", "munge-key", "slurm-db"]);
  let said = "";
  waiting.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const ended = new Promise<number | null>((resolve) => waiting.once("exit", resolve));
  try {
    for (let tries = 0; !said.includes("\n") && tries < 200; tries++) await sleep(20);
    assert.equal(said, "waiting for secrets: slurm-db\n");
    await sleep(100);
    assert.equal(waiting.exitCode, null);
    mkdirSync(inside("run/credentials/@system"), { recursive: true });
    writeFileSync(inside("run/credentials/@system/slurm-db"), "value");
    assert.equal(await ended, 0);
  } finally {
    waiting.kill("SIGKILL");
  }
  assert.equal(readFileSync(inside("run/credstore/munge-key"), "utf8"), "newer");
  assert.equal(said, "waiting for secrets: slurm-db\n", "it is told once");
});

test("a file is written with its secrets, whatever characters they have, and its other marks are left alone", () => {
  const values = { "munge-key": "m\\1$&`@PASS@", "slurm-db": 'a"b$c/d@e\nsecond' };
  const written = writeSecretFile({ ...values, "slurm-db": `${values["slurm-db"]}\n` });
  assert.equal(written.status, 0, written.stderr);
  const path = join(folder, "run/new/slurmdbd.conf");
  const pass = values["slurm-db"];
  const expected = `StorageLoc=@HERE@\nStoragePass=${pass}\nAuthInfo=${pass}/${values["munge-key"]}\n`;
  assert.equal(readFileSync(path, "utf8"), expected);
  assert.equal(statSync(path).mode & 0o7777, 0o640);
  assert.equal(statSync(dirname(path)).mode & 0o7777, 0o755);
});

test("a file without one of its secrets is not written", () => {
  rmSync(join(folder, "run"), { recursive: true, force: true });
  const written = writeSecretFile({ "munge-key": "m" });
  assert.notEqual(written.status, 0);
  assert.match(written.stderr, /slurm-db: No such file/);
  assert.ok(!existsSync(join(folder, "run/new/slurmdbd.conf")));
});

function writeSecretFile(given: Readonly<Record<string, string>>): { status: number | null; stderr: string } {
  const directory = mkdtempSync(join(folder, "credentials-"));
  for (const [name, value] of Object.entries(given)) writeFileSync(join(directory, name), value);
  const program = join(directory, "write");
  writeFileSync(program, textOf(/-write-secret-file$/), { mode: 0o755 });
  const template = join(directory, "template");
  writeFileSync(template, textOf(/-slurmdbd\.conf\.template$/));
  const command = /^ExecStart=(\S+) (\S+) (.*)$/m.exec(textOf(/meso-secret-files\.service$/))!;
  const [mode, , , , ...pairs] = command[3]!.split(" ");
  const owner = (flag: string): string => spawnSync("id", [flag, "-n"], { encoding: "utf8" }).stdout.trim();
  const words = [join(folder, "run/new/slurmdbd.conf"), mode!, owner("-u"), owner("-g"), template, ...pairs];
  const { status, stderr } = spawnSync(program, words, {
    env: { ...process.env, LC_ALL: "C", CREDENTIALS_DIRECTORY: directory },
    encoding: "utf8",
  });
  return { status, stderr };
}

test("what cannot work is told where it was written", () => {
  const refused = (service: Service, code: string, words: RegExp) =>
    assert.throws(
      () => lowered(service),
      (error: Error & { code?: string }) => error.code === code && words.test(error.message),
    );
  const long = secret("a-name-of-twenty-nine-letters");
  refused(simpleService("a", credentials, [{ secret: long, units: ["a.service"] }]), "wrong-name", /28 at most/);
  refused(simpleService("a", credentials, [{ secret: munge, units: [] }]), "missing-field", /munge-key/);
  refused(
    simpleService("a", credentials, [{ secret: "munge" as never, units: ["a.service"] }]),
    "wrong-type",
    /secret\("name"\)/,
  );
  const file = (changes: Partial<SecretFile>) => simpleService("a", secretFiles, [{ ...config, ...changes }]);
  refused(file({ path: "/etc/slurmdbd.conf" }), "wrong-path", /below \/run/);
  refused(file({ path: "/run/../etc/slurmdbd.conf" }), "wrong-path", /below \/run/);
  refused(file({ content: "StoragePass=PASS\n" }), "unused-secret", /@PASS@/);
  refused(file({ secrets: { pass: munge } }), "wrong-name", /capitals/);
  assert.throws(
    () =>
      lowered(
        simpleService("a", credentials, [{ secret: secret("k", { file: "k" }), units: ["a.service"] }]),
        simpleService("b", credentials, [{ secret: secret("k"), units: ["b.service"] }]),
      ),
    { code: "two-sources", message: /the secret k is at one place for a, at another for b/ },
  );
});
