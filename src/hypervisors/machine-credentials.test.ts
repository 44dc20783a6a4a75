import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { GuestAgent } from "./guest-agent.ts";
import { carryCredentials, credentialFiles, writeCredentialFiles } from "./machine-credentials.ts";

const top = mkdtempSync(join(tmpdir(), "meso-credentials-"));
after(() => rmSync(top, { recursive: true, force: true }));

test("values lie in files that only their owner reads; what is not given any more goes when it is told to", () => {
  const folder = join(top, "machine/credentials");
  assert.deepEqual(writeCredentialFiles(folder, new Map()), new Map());
  const paths = writeCredentialFiles(folder, new Map([["b-key", "one\n"]]));
  assert.deepEqual([...paths], [["b-key", join(folder, "b-key")]]);
  assert.equal(readFileSync(join(folder, "b-key"), "utf8"), "one\n");
  assert.deepEqual([statSync(folder).mode & 0o777, statSync(join(folder, "b-key")).mode & 0o777], [0o700, 0o600]);

  // What a killed process left is neither a credential nor in the way.
  writeFileSync(join(folder, ".a.new"), "half", { mode: 0o644 });
  const both = writeCredentialFiles(folder, new Map([["a", "two"]]), { keepsOthers: true });
  assert.deepEqual([...both.keys()], ["a", "b-key"]);
  assert.equal(statSync(join(folder, "a")).mode & 0o777, 0o600);
  assert.deepEqual([...writeCredentialFiles(folder, new Map([["a", "three"]])).keys()], ["a"]);
  assert.deepEqual(readdirSync(folder), ["a"]);
  assert.equal(readFileSync(join(folder, "a"), "utf8"), "three");
  assert.deepEqual(credentialFiles(join(top, "nowhere")), new Map());

  for (const name of ["", "../a", "a,file=/etc/shadow", "a b", "x".repeat(29)]) {
    assert.throws(() => writeCredentialFiles(folder, new Map([[name, "v"]])), { code: "invalid-setting" }, name);
  }
});

/** A machine whose commands run here, with folders of its own for /run and, when it has a state volume, /var/lib/meso. */
function guest(name: string, { hasState }: { hasState: boolean }) {
  const inside = (folder: string) => join(top, name, folder);
  for (const folder of ["run", "state", "bin"]) mkdirSync(inside(folder), { recursive: true });
  // Tells what it is asked, and says that everything is active.
  const systemctl = '#!/bin/sh\necho "$@" >> /run/asked\n';
  writeFileSync(inside("bin/systemctl"), systemctl, { mode: 0o755 });
  const commands: (readonly string[])[] = [];
  const exec: GuestAgent["exec"] = async (argv, { input = "" } = {}) => {
    commands.push(argv);
    const state = hasState ? ["--bind", inside("state"), "/var/lib/meso"] : [];
    const binds = ["--dev-bind", "/", "/", "--bind", inside("run"), "/run", "--tmpfs", "/var/lib", ...state];
    const environment = ["--setenv", "PATH", `${inside("bin")}:/usr/bin:/bin`];
    const ran = spawnSync("bwrap", [...binds, ...environment, ...argv], { input, encoding: "utf8" });
    return { exitCode: ran.status ?? 255, stdout: ran.stdout, stderr: ran.stderr };
  };
  const asked = () => (existsSync(inside("run/asked")) ? readFileSync(inside("run/asked"), "utf8") : "");
  return { agent: { exec } as GuestAgent, commands, inside, asked };
}

test("the agent carries values into memory and onto the state volume, by no command line", async () => {
  const { agent, commands, inside } = guest("kept", { hasState: true });
  const value = "a$b `c` \\d\n'e'";
  await carryCredentials(agent, new Map([["munge-key", value]]));
  for (const path of ["run/credstore/munge-key", "state/credstore/munge-key"]) {
    assert.equal(readFileSync(inside(path), "utf8"), value);
    assert.equal(statSync(inside(path)).mode & 0o777, 0o600);
  }
  assert.equal(statSync(inside("state/credstore")).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(inside("run/credstore")), ["munge-key"]);
  assert.ok(!JSON.stringify(commands).includes("a$b"));
});

test("units that run with an older value are started again, others are left alone", async () => {
  const { agent, inside, asked } = guest("changed", { hasState: false });
  await carryCredentials(agent, new Map([["k", "old"]]));
  assert.ok(!existsSync(inside("state/credstore")), "it has no state volume");
  const before = asked();
  await carryCredentials(agent, new Map([["k", "old"]]));
  assert.equal(asked(), before, "nothing has changed");
  await carryCredentials(agent, new Map([["k", "new"]]));
  assert.match(asked().slice(before.length), /^--no-block restart meso-credentials\.service$/m);
  assert.equal(readFileSync(inside("run/credstore/k"), "utf8"), "new");
});

test("a machine that cannot keep a secret says why, and the value is in no message", async () => {
  const { agent, inside } = guest("full", { hasState: false });
  writeFileSync(join(inside("run"), "credstore"), "no folder");
  await assert.rejects(carryCredentials(agent, new Map([["k", "the value"]])), (error: Error & { code?: string }) => {
    assert.equal(error.code, "credential-refused");
    assert.match(error.message, /the secret k[\s\S]*credstore/);
    assert.doesNotMatch(error.message, /the value/);
    return true;
  });
});
