import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addTools, scripts } from "../store/build-place.testing.ts";
import { openItems } from "../store/items.ts";
import { readDerivation } from "../store/realise.ts";
import { removeTree } from "../store/remove-tree.ts";
import { openStore } from "../store/store.ts";
import { projectFolder, runMeso, startMeso } from "../test-support/meso-process.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-store-commands-"));
after(() => removeTree(folder));
const here = join(folder, "here");
const there = join(folder, "there");

const store = openStore(here);
const items = openItems(store);
const base = await items.addText("base", "base");
const top = await items.addText("top", base, [base]);
const alone = await items.addText("alone", "alone");
store.release();

async function meso(where: string, ...args: string[]): Promise<string> {
  const run = await runMeso(args, { store: where, cwd: folder, env });
  assert.equal(run.code, 0, run.stderr);
  return run.stdout.trim();
}
async function fails(where: string, ...args: string[]): Promise<string> {
  const run = await runMeso(args, { store: where, cwd: folder, env });
  assert.equal(run.code, 1, run.stdout);
  assert.doesNotMatch(run.stderr, /^ {4}at /m);
  return run.stdout + run.stderr;
}
let env: Record<string, string> = {};

describe("the store's commands", () => {
  it("keep what a root or link holds, tell why, and collect the rest", async () => {
    assert.equal(await meso(here, "roots", "add", top, "--name", "mine"), `mine holds ${top}`);
    await meso(here, "roots", "add", base, "--link", "result");
    assert.match(await meso(here, "roots"), new RegExp(`result: holds ${base} \\(.*\nmine: holds ${top}`));
    assert.match(await meso(here, "why", "result"), new RegExp(`result\n  ${base}\nmine\n  ${top}\n    ${base}`));
    assert.equal(await meso(here, "referrers", base), top);
    assert.match(await meso(here, "size", top), new RegExp(`^${top} .*\n${base} .*\ntotal: 2 items, \\d+ B$`, "m"));
    const dry = await meso(here, "gc", "--dry-run", "--grace", "0");
    assert.match(dry, /3 items, of which 2 stay/);
    assert.match(dry, /mine: alone holds 1 items/);
    assert.match(dry, new RegExp(`item of ${userInfo().username}: 1, `));
    assert.match(await meso(here, "gc"), /^0 B freed: 0 items/);
    assert.match(await meso(here, "gc", "--grace", "0"), /freed: 1 items/);
    assert.equal(items.record(alone), undefined);
    assert.match(await meso(here, "gc", "--free", "10G"), /that is less than 10.7 GB/);
    await meso(here, "roots", "remove", "mine");
    assert.match(await fails(here, "roots", "remove", "mine"), /expected: .*result/);
    assert.match(await fails(here, "why", "/etc/passwd"), /no item of the store/);
  });

  it("make a key, serve what it signs, fetch it elsewhere, compare and verify", async () => {
    const key = await meso(here, "store", "key", "here-1", "cache.key");
    assert.match(key, /^here-1:[A-Za-z0-9+/]{43}=$/);
    assert.match(await fails(here, "store", "key", "here-1", "cache.key"), /is there already/);
    const server = startMeso(["serve", "--key", "cache.key", "--listen", "0", "--json"], { store: here, cwd: folder });
    try {
      let said = "";
      server.child.stdout!.on("data", (piece: Buffer) => {
        said += piece.toString();
      });
      while (!said.includes("\n") && server.child.exitCode === null) await sleep(20);
      const { url } = JSON.parse(said) as { url: string };
      assert.match(await fails(there, "challenge"), /no cache is known/);
      await meso(there, "caches", "add", url, "--key", key);
      assert.equal(await meso(there, "caches"), `${url} (${key})`);
      assert.match(
        await fails(there, "copy", top, "--from", url, "--trusted-key", `x-1:${key.split(":")[1]}`),
        /not signed/,
      );
      assert.deepEqual((await meso(there, "copy", top, "--from", url, "--trusted-key", key)).split("\n"), [base, top]);
      assert.match(await meso(there, "challenge", top, base), /^2 the same, 0 different, 0 not known/);
      const place = join(there, "store", basename(base));
      rmSync(place);
      writeFileSync(place, "bent");
      assert.match(await fails(there, "store", "verify"), /1 damaged/);
      assert.match(await meso(there, "store", "verify", "--repair"), /fetched anew\n2 items looked at, 0 damaged/);
      await meso(there, "caches", "remove", url);
    } finally {
      process.kill(-server.child.pid!, "SIGTERM");
    }
    assert.equal((await server.ended).code, 0);
  });

  it("fetch what a cache has, build what none has, and say so before", async () => {
    const script = scripts(items, await addTools(items, folder));
    const library = await script("library", "echo library > $out");
    const [libraryOut] = [...readDerivation(items, library).outputs.values()].map(({ path }) => path);
    const program = await script("program", `read line < ${libraryOut}; echo $line for ${libraryOut} > $out`, {
      inputDerivations: new Map([[library, ["out"]]]),
    });
    const [programOut] = [...readDerivation(items, program).outputs.values()].map(({ path }) => path);
    store.release();
    const [derivations, built] = [join(folder, "derivations"), join(folder, "built")];
    const key = readFileSync(join(folder, "cache.key"), "utf8");
    assert.equal(await meso(here, "store", "realise", program, "--root", "program"), programOut);
    assert.equal(readFileSync(join(folder, "program"), "utf8"), `library for ${libraryOut}\n`);
    await meso(here, "copy", program, "--to", derivations);
    await meso(here, "copy", libraryOut!, "--to", built, "--key", "cache.key");
    const publicKey = `here-1:${Buffer.from(key.trim().split(":")[1]!, "base64").subarray(32).toString("base64")}`;
    const client = join(folder, "client");
    await meso(client, "copy", program, "--from", derivations, "--no-signatures");
    const caches = ["--cache", built, "--trusted-key", publicKey];
    const realise = (...words: string[]) => meso(client, "store", "realise", program, ...words);
    assert.equal(await realise("--dry-run"), `build ${library}\nbuild ${program}`);
    assert.match(await realise("--dry-run", ...caches), new RegExp(`^fetch ${libraryOut} \\(.*\\)\nbuild ${program}$`));
    const { built: reports } = JSON.parse(await realise("--json", "--check", ...caches)) as {
      built: { derivation: string }[];
    };
    assert.deepEqual(
      reports.map(({ derivation }) => derivation),
      [program],
    );
    assert.equal(await realise("--dry-run"), "everything is there");
    const other = join(folder, "without");
    await meso(other, "copy", program, "--from", derivations, "--no-signatures");
    // A cache whose key is not trusted is passed over: everything is built, to the same.
    await meso(other, "store", "realise", program, "--cache", built);
    assert.match(await meso(other, "challenge", libraryOut!, "--cache", built), /^1 the same/);
    assert.match(await fails(client, "store", "realise", libraryOut!), /is no derivation/);
  });

  it("copy to and from another host over ssh, what is missing there only", async () => {
    const host = await startSshd();
    const far = join(folder, "far store");
    const program = `${process.execPath} ${join(projectFolder, "bin/meso.mjs")}`;
    const remote = ["--remote-program", program];
    try {
      const address = `ssh://${userInfo().username}@127.0.0.1:${host.port}${far}`;
      env = { PATH: `${host.clients}:${process.env.PATH}` };
      assert.deepEqual((await meso(here, "copy", top, "--to", address, ...remote)).split("\n"), [base, top]);
      assert.equal(await meso(here, "copy", top, "--to", address, ...remote), "");
      assert.match(await meso(far, "store", "verify"), /^2 items looked at, 0 damaged/);
      const back = join(folder, "back");
      assert.deepEqual((await meso(back, "copy", basename(top), "--from", address, ...remote)).split("\n"), [
        base,
        top,
      ]);
      assert.match(await meso(back, "store", "verify"), /^2 items looked at, 0 damaged/);
      assert.match(await fails(back, "copy", basename(alone), "--from", address, ...remote), /127.0.0.1 ended with 1/);
      assert.match(await fails(here, "copy", top, "--to", address, "--remote-program", "nowhere"), /--remote-program/);
    } finally {
      env = {};
      await host.stop();
    }
  });
});

/** A server of ssh on the loopback interface that lets this person in, and a folder with the client that asks it. */
async function startSshd() {
  const place = join(folder, "ssh");
  const clients = join(place, "bin");
  mkdirSync(clients, { recursive: true, mode: 0o700 });
  const at = (name: string) => join(place, name);
  for (const name of ["host", "person"]) {
    assert.equal(spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]).status, 0);
  }
  writeFileSync(at("authorized"), readFileSync(at("person.pub")), { mode: 0o600 });
  const port = await freePort();
  const settings = {
    ...{ Port: port, ListenAddress: "127.0.0.1", HostKey: at("host"), AuthorizedKeysFile: at("authorized") },
    ...{ UsePAM: "no", StrictModes: "no", PermitRootLogin: "yes", PidFile: "none", PasswordAuthentication: "no" },
  };
  writeFileSync(
    at("sshd_config"),
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(""),
  );
  // Where the server of ssh keeps itself apart: of the system, and gone with /run.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
  const server = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", at("sshd_config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  server.stderr.on("data", (piece: Buffer) => {
    said += piece.toString();
  });
  const ended = new Promise((resolve) => server.once("close", resolve));
  for (let i = 0; i < 250 && !said.includes("listening") && server.exitCode === null; i++) await sleep(20);
  assert.match(said, /listening/);
  // The real client; what tells it of this server stands before what we say.
  const options = `-o IdentityFile=${at("person")} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none`;
  writeFileSync(join(clients, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh ${options} "$@"\n`, { mode: 0o755 });
  assert.ok(existsSync("/usr/bin/ssh"));
  return {
    ...{ port, clients },
    stop: async () => {
      server.kill();
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
