import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { baseFileSystems, baseServices, fileSystem, label, operatingSystem } from "../index.ts";
import { administrators, chrony, openssh, rsyslog } from "../services/index.ts";
import { extractTree } from "../store/extract-tree.ts";
import { runInSandbox } from "../store/sandbox.ts";
import type { ManifestFile } from "../system/manifest.ts";
import { testSession } from "../test-support/test-session.ts";
import { realiseSystem } from "./compose.ts";
import { prepareSystem } from "./prepare.ts";

/** Every program judges its own configuration: each is run from the very tree that it is for, in the sandbox. */
const folder = mkdtempSync(join(tmpdir(), "meso-configuration-"));
const root = join(folder, "root");
const extra = join(folder, "extra");
const runFolder = join(folder, "run");
let files: readonly ManifestFile[];
after(() => rmSync(folder, { recursive: true, force: true }));

before(async () => {
  const os = operatingSystem({
    hostName: "judged",
    fileSystems: [
      fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }),
      fileSystem({ device: label("data"), mountPoint: "/srv/data", type: "ext4" }),
      ...baseFileSystems,
    ],
    services: [
      ...baseServices,
      openssh({
        allowGroups: ["adm"],
        listenAddresses: ["10.0.0.1"],
        extraConfiguration: "Match User nobody\n  X11Forwarding no",
      }),
      chrony({ servers: ["10.0.0.2"], allow: ["10.0.0.0/8"] }),
      rsyslog({
        listen: { tcp: 514, udp: 514 },
        forwardTo: [{ host: "10.0.0.3" }, { host: "10.0.0.4", protocol: "udp" }],
      }),
      administrators({ people: [{ name: "alice", authorizedKeys: [] }], sudo: "password" }),
    ],
  });
  const session = testSession();
  const { tree, prepared } = await realiseSystem(session, await prepareSystem(session, os));
  files = prepared.manifest.files;
  const unused = /^\/(boot|usr\/lib\/modules|usr\/share\/(doc|man|locale|zoneinfo|info))\/./;
  extractTree(session.store, new Map([...tree].filter(([path]) => !unused.test(path))), root);
  mkdirSync(extra);
  mkdirSync(runFolder);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(extra, "host-key")]);
});

test("sshd", async () => {
  const judge = (text: string) => {
    writeFileSync(join(extra, "sshd_config"), text.replace(/^HostKey .*/m, "HostKey /extra/host-key"));
    return run("/usr/sbin/sshd", "-T", "-f", "/extra/sshd_config");
  };
  const said = await judge(textOf("/etc/ssh/sshd_config"));
  assert.match(said, /^passwordauthentication no$/m);
  assert.match(said, /^allowgroups adm$/m);
  await assert.rejects(judge("PasswordAuthentication perhaps\n"), /Bad|unsupported|perhaps/);
});

test("chronyd", async () => {
  const judge = (file: string) => run("/usr/sbin/chronyd", "-p", "-f", file);
  assert.match(await judge("/etc/chrony/chrony.conf"), /server 10\.0\.0\.2 iburst/);
  await assert.rejects(judge(nonsense("chrony.conf")), /Invalid|Fatal/);
});

test("rsyslogd", async () => {
  await run("/usr/sbin/rsyslogd", "-N1", "-f", "/etc/rsyslog.conf");
  await assert.rejects(run("/usr/sbin/rsyslogd", "-N1", "-f", nonsense("rsyslog.conf")), /syntax error/);
});

test("visudo", async () => {
  // It refuses to look at anything as somebody without account.
  const judge = (file: string) => run("/usr/bin/unshare", "--map-root-user", "/usr/sbin/visudo", "-c", "-f", file);
  assert.match(await judge("/etc/sudoers.d/meso"), /parsed OK/);
  await assert.rejects(judge(nonsense("sudoers")), /syntax error/);
});

test("findmnt on fstab", async () => {
  // It also looks for the machine's disks, which are not here.
  const said = await run("/bin/sh", "-c", "findmnt --verify --verbose --tab-file /etc/fstab 2>&1 || true");
  assert.match(said, /^0 parse errors/m);
  const other = said.split("\n").filter((line) => /\[[EW]\]/.test(line) && !/unreachable on boot required/.test(line));
  assert.deepEqual(other, []);
  assert.match(said, /^\/srv\/data$/m);
});

test("systemd on every unit that is enabled or generated", async () => {
  const generated = files.flatMap(
    ({ path }) => /^\/etc\/systemd\/system\/([^/]+)(?:\.d\/[^/]+)?$/.exec(path)?.[1] ?? [],
  );
  const units = [...new Set(["multi-user.target", ...generated])].filter((name) =>
    /\.(service|socket|target|timer|mount)$/.test(name),
  );
  assert.ok(units.includes("ssh-host-key.service") && units.includes("chrony.service"));
  const judge = (...names: string[]) =>
    run("/bin/sh", "-c", 'systemd-analyze verify --man=no --recursive-errors=yes "$@" 2>&1', "sh", ...names);
  assert.equal(await judge(...units), "");
  writeFileSync(join(extra, "broken.service"), "[Service]\nExecStart=/usr/bin/nobody-has-this\nNonsense=1\n");
  await assert.rejects(
    judge("/extra/broken.service").then((said) => assert.equal(said, "")),
    /nobody-has-this|Nonsense|exit code/,
  );
});

async function run(...command: string[]): Promise<string> {
  const binds = [
    { from: extra, to: "/extra" },
    { from: runFolder, to: "/run", writable: true },
  ];
  const { stdout } = await runInSandbox({ root, binds, command, timeoutSeconds: 60 });
  return stdout.toString();
}

/** A file that no program takes for its configuration: shows that the judges judge. */
function nonsense(name: string): string {
  writeFileSync(join(extra, name), "nonsense of nothing {\n");
  return `/extra/${name}`;
}

/** The text of a generated file, through the links of the manifest. */
function textOf(path: string): string {
  const file = files.find((one) => one.path === path);
  assert.ok(file, path);
  if (file.kind === "symlink") return textOf(file.target);
  assert.ok(file.kind === "file");
  return file.text;
}
