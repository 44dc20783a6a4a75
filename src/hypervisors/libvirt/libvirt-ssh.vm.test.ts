import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { diskRecipe } from "../../image/extent.ts";
import { writeRaw } from "../../image/output/write-raw.ts";
import { type LibvirtDaemon, startLibvirt } from "../../test-support/libvirt-daemon.ts";
import { libvirtDriver } from "./libvirt-driver.ts";

/** A host that is reached by ssh: an sshd of the test's own, and behind it its libvirt. */
describe("libvirt over ssh", { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-libvirt-ssh-"));
  const inside = (name: string) => join(folder, name);
  const { username } = userInfo();
  let daemon: LibvirtDaemon;
  let sshd: ChildProcess;
  let port: number;
  /** Nothing of the person's own keys and known hosts is used or changed. */
  const uri = (key: string, at = port) => {
    const local = new URL(daemon.uri);
    const ssh = inside(`ssh-${key}`);
    const settings = ["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", `UserKnownHostsFile=${inside("known")}`];
    writeFileSync(ssh, `#!/bin/sh\nexec ssh ${settings.join(" ")} -i ${inside(key)} "$@"\n`, { mode: 0o755 });
    const more = `socket=${local.searchParams.get("socket")}&proxy=netcat&netcat=${inside("relay")}&command=${ssh}`;
    return `qemu+ssh://${username}@127.0.0.1:${at}${local.pathname}?${more}`;
  };

  before(async () => {
    daemon = await startLibvirt();
    for (const name of ["host", "key", "stranger"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", inside(name)]);
    }
    copyFileSync(inside("key.pub"), inside("authorized"));
    // What libvirt asks netcat for: RELAY -U SOCKET.
    const relay = `
      const { connect } = require("node:net");
      const socket = connect(process.argv.at(-1));
      process.stdin.pipe(socket).pipe(process.stdout);
      socket.on("close", () => process.exit());`;
    writeFileSync(inside("relay.cjs"), relay);
    writeFileSync(inside("relay"), `#!/bin/sh\nexec ${process.execPath} ${inside("relay.cjs")} "$@"\n`);
    chmodSync(inside("relay"), 0o755);
    port = await freePort();
    const known = execFileSync("cut", ["-d", " ", "-f", "1,2", inside("host.pub")], { encoding: "utf8" });
    writeFileSync(inside("known"), `[127.0.0.1]:${port} ${known}`);
    const lines = [
      ...[`HostKey ${inside("host")}`, `AuthorizedKeysFile ${inside("authorized")}`, `ListenAddress 127.0.0.1:${port}`],
      ...["PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication yes", "PermitRootLogin yes"],
    ];
    writeFileSync(inside("sshd.conf"), `${lines.join("\n")}\n`);
    // Root's sshd wants a folder that only its service makes.
    const room = ["--dev-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/run", "--dir", "/run/sshd"];
    const rights = process.getuid?.() === 0 ? ["--cap-add", "ALL"] : [];
    const command = ["/usr/sbin/sshd", "-D", "-e", "-f", inside("sshd.conf")];
    sshd = spawn("bwrap", ["--die-with-parent", "--unshare-pid", ...rights, ...room, "--", ...command], {
      stdio: "ignore",
    });
    for (let i = 0; i < 200 && !(await listens(port)); i++) await sleep(50);
  });
  after(async () => {
    sshd?.kill("SIGKILL");
    await daemon?.stop();
    rmSync(folder, { recursive: true });
  });

  test("machines of another host are defined, given disks, listed and forgotten", async () => {
    const driver = libvirtDriver({ uri: uri("key"), domainType: "qemu" });
    assert.deepEqual(await driver.check({ machines: [], storages: [], defines: true }), []);
    const id = { name: "far" };
    const machine = { id, architecture: "amd64", cores: 1, memoryMebibytes: 64, firmware: "bios" } as const;
    await driver.define({ ...machine, nics: [], description: "far away" });
    writeRaw(diskRecipe(1 << 20, []), inside("disk"), { segmentDataPath: () => "" });
    const { version } = (await driver.inspect(id))!;
    await driver.attach(id, "scsi0", { kind: "file", path: inside("disk"), format: "raw" }, version);
    const [found, ...others] = await driver.list();
    assert.equal(found?.slots.get("scsi0")?.volume, inside("disk"));
    assert.equal(others.length, 0);
    await driver.remove(id);
    assert.deepEqual(await driver.list(), []);
  });

  test("a key that is not let in is told at once: nobody is asked for a password", async () => {
    const start = performance.now();
    await assert.rejects(libvirtDriver({ uri: uri("stranger") }).list(), { code: "forbidden" });
    const wrongPort = libvirtDriver({ uri: uri("key", await freePort()) });
    await assert.rejects(wrongPort.list(), { code: "hypervisor-unreachable" });
    assert.ok(performance.now() - start < 30_000);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
