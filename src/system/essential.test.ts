import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { recordProblems } from "../language/check.ts";
import { devicePath, label, uuid } from "../language/device.ts";
import { baseFileSystems, fileSystem } from "../language/file-system.ts";
import { inherit } from "../language/inherit.ts";
import { defineOperatingSystem } from "../language/operating-system.ts";
import type { Service } from "../language/service-type.ts";
import { simpleService } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { activation } from "./essential-boot.ts";
import type { PamRule } from "./essential-login.ts";
import { pam, sudoers } from "./essential-login.ts";
import { nameServiceSwitch } from "./essential-names.ts";
import { environment } from "./essential-profile.ts";
import { dropIn, enableUnit, maskUnit, systemdUnits, unit } from "./essential-units.ts";
import { lowerSystem } from "./lower.ts";

const root = fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" });
const base = defineOperatingSystem({ packages: [], services: [] })({ hostName: "a", fileSystems: [root] });

function filesWith(...services: readonly Service[]): Map<string, string> {
  const manifest = lowerSystem(inherit(base, { services }));
  return new Map(manifest.files.map((file) => [file.path, file.kind === "file" ? file.text : ""]));
}

function inFolder(use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "meso-essential-"));
  try {
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("PAM's common stacks are what pam-auth-update writes", { skip: !existsSync("/usr/sbin/pam-auth-update") }, () => {
  const systemd: PamRule = {
    stack: "session",
    block: "additional",
    priority: 0,
    control: "optional",
    module: "pam_systemd.so",
  };
  const second: PamRule = {
    stack: "auth",
    block: "primary",
    priority: 128,
    control: "[success=end default=ignore]",
    module: "pam_second.so use_first_pass",
  };
  const files = filesWith(simpleService("session", pam, [systemd]), simpleService("second", pam, [second]));
  inFolder((folder) => {
    for (const path of ["etc/pam.d", "usr/share/pam-configs", "var/lib/pam"]) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    cpSync("/usr/share/pam", join(folder, "usr/share/pam"), { recursive: true });
    const configs = join(folder, "usr/share/pam-configs");
    cpSync("/usr/share/pam-configs/unix", join(configs, "unix"));
    const header = (priority: number) => `Default: yes\nPriority: ${priority}\n`;
    writeFileSync(
      join(configs, "systemd"),
      `Name: s\n${header(0)}Session-Interactive-Only: yes\nSession-Type: Additional\nSession:\n\toptional\tpam_systemd.so\n`,
    );
    writeFileSync(
      join(configs, "second"),
      `Name: t\n${header(128)}Auth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_second.so use_first_pass\n`,
    );
    execFileSync("/usr/sbin/pam-auth-update", ["--root", folder, "--package", "--force"], {
      env: {
        ...process.env,
        DEBIAN_FRONTEND: "noninteractive",
        DEBCONF_DB_OVERRIDE: `File{${join(folder, "debconf.dat")}}`,
      },
      stdio: "pipe",
    });
    for (const stack of ["account", "auth", "password", "session", "session-noninteractive"]) {
      const path = `/etc/pam.d/common-${stack}`;
      const theirs = rules(readFileSync(join(folder, path), "utf8")).map(withoutEmptyPasswords);
      assert.deepEqual(rules(files.get(path)!), theirs, path);
    }
  });
});

function rules(stack: string): string[] {
  const lines = stack.split("\n").map((line) => line.replace(/\s+/g, " ").trim());
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

/**
 * The one deliberate difference: an empty password opens no stack but that of login(1) on consoles, which asks for the
 * password itself before it comes here.
 */
function withoutEmptyPasswords(rule: string): string {
  return rule.replace(/^(auth .* pam_unix\.so) nullok$/, "$1 try_first_pass");
}

test("findmnt accepts the fstab", { skip: !existsSync("/usr/bin/findmnt") }, () => {
  const fileSystems = [
    ...baseFileSystems,
    root,
    fileSystem({
      device: uuid("1c7e6e0c-3b1d-4b43-9a5e-0a1b2c3d4e5f"),
      mountPoint: "/srv/data",
      type: "xfs",
      options: ["noatime"],
    }),
    fileSystem({ device: devicePath("nas:/export/home"), mountPoint: "/home", type: "nfs4" }),
  ];
  const manifest = lowerSystem(inherit(base, { fileSystems }));
  const fstab = manifest.files.find(({ path }) => path === "/etc/fstab");
  assert.ok(fstab?.kind === "file");
  inFolder((folder) => {
    const path = join(folder, "fstab");
    writeFileSync(path, fstab.text);
    const columns = "SOURCE,TARGET,FSTYPE,OPTIONS,PASSNO";
    const read = execFileSync("findmnt", ["--tab-file", path, "--noheadings", "--raw", "-o", columns], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
    });
    assert.deepEqual(read.trim().split("\n"), [
      "LABEL=root / ext4 defaults 1",
      "nas:/export/home /home nfs4 defaults 0",
      "UUID=1c7e6e0c-3b1d-4b43-9a5e-0a1b2c3d4e5f /srv/data xfs noatime 0",
      "none /tmp tmpfs mode=1777,nosuid,nodev,size=50% 0",
    ]);
  });
  assert.ok(manifest.enabledUnits.includes("remote-fs.target"), "nothing else mounts what comes over the network");
  for (const name of ["e2fsprogs", "xfsprogs", "nfs-common"]) {
    assert.ok(
      manifest.packages.some((wish) => wish.name === name),
      name,
    );
  }
});

test("a root on EROFS has no line in the fstab", () => {
  const erofs = fileSystem({ device: label("root"), mountPoint: "/", type: "erofs" });
  const manifest = lowerSystem(inherit(base, { fileSystems: [erofs] }));
  const fstab = manifest.files.find(({ path }) => path === "/etc/fstab");
  assert.equal(fstab?.kind === "file" && fstab.text, "");
});

test("systemd accepts generated units", { skip: !existsSync("/usr/bin/systemd-analyze") }, () => {
  const services = [
    simpleService("first", activation, [{ name: "first", script: "echo first\n", order: 10 }]),
    simpleService("second", activation, [{ name: "second", script: text`echo second` }]),
    simpleService("units", systemdUnits, [
      unit({
        name: "hello.service",
        sections: {
          Unit: { Description: "Hello", After: ["network.target", "local-fs.target"] },
          Service: { Type: "oneshot", RemainAfterExit: true, ExecStart: ["/bin/true", "/bin/echo a"] },
          Install: { WantedBy: "multi-user.target" },
        },
      }),
      dropIn("hello.service", "more", { sections: { Service: { Nice: 5 } } }),
    ]),
  ];
  const manifest = lowerSystem(inherit(base, { services }));
  assert.deepEqual(manifest.enabledUnits, ["hello.service", "meso-activation.service"]);
  inFolder((folder) => {
    const units = manifest.files.filter(({ path }) => path.startsWith("/etc/systemd/system/"));
    assert.deepEqual(
      units.map(({ path }) => path.slice("/etc/systemd/system/".length)),
      ["hello.service", "hello.service.d/more.conf", "meso-activation.service"],
    );
    for (const file of units) {
      assert.ok(file.kind === "file");
      const path = join(folder, file.path.slice("/etc/systemd/system/".length));
      mkdirSync(join(path, ".."), { recursive: true });
      // The program is in the store of the image, not of this machine.
      writeFileSync(path, file.text.replace(/\/meso\/store\/\S+/, "/bin/true"));
    }
    const paths = readdirSync(folder).filter((name) => name.endsWith(".service"));
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", ...paths.map((name) => join(folder, name))], {
      encoding: "utf8",
    });
    const complaints = verified.stderr.split("\n").filter((line) => /hello|meso-activation/.test(line));
    assert.deepEqual(complaints, []);
  });
});

test("activation snippets run in order, each on its own", () => {
  const files = filesWith(
    simpleService("b", activation, [{ name: "late", script: "cd /\nx=1; echo late" }]),
    simpleService("a", activation, [{ name: "early", script: "x=2; echo early >&2\n", order: 10 }]),
    simpleService("c", activation, [
      { name: "nothing", script: 'test -z "$(set | grep ^x=)" && echo unset\n', order: 90 },
    ]),
  );
  const program = [...files].find(([path]) => path.endsWith("-activate"))?.[1];
  const run = spawnSync("/bin/sh", ["-c", program!], { encoding: "utf8" });
  assert.equal(run.stdout, "late\nunset\n");
  assert.equal(run.stderr, "early\n");
  assert.equal(run.status, 0);
});

test("unit names and contents are checked", () => {
  assert.throws(() => unit({ name: "hello", text: "" }), { code: "wrong-unit-name" });
  assert.throws(() => enableUnit("../x.service"), { code: "wrong-unit-name" });
  assert.throws(() => maskUnit(`${"a".repeat(250)}.service`), { code: "wrong-unit-name" });
  assert.throws(() => unit({ name: "a.service" }), { code: "wrong-unit" });
  assert.throws(() => unit({ name: "a.service", text: "", sections: {} }), { code: "wrong-unit" });
  for (const name of ["ssh.service", "getty@ttyS0.service", "getty@.service", "dev-disk-by\\x2dlabel-a.swap"]) {
    assert.equal((enableUnit(name) as { name: string }).name, name);
  }
});

test("a unit without [Install] is not enabled, and one with it may be left alone", () => {
  const services = [
    simpleService("u", systemdUnits, [
      unit({ name: "a.service", text: "[Service]\nExecStart=/bin/true\n" }),
      unit({ name: "b.service", text: "[Install]\nWantedBy=x.target\n", enable: false }),
      unit({ name: "c.service", text: "[Install]\nWantedBy=x.target\n" }),
    ]),
  ];
  assert.deepEqual(lowerSystem(inherit(base, { services })).enabledUnits, ["c.service"]);
});

test("name sources stand by their priority", () => {
  const files = filesWith(
    simpleService("r", nameServiceSwitch, [{ database: "hosts", source: "resolve [!UNAVAIL=return]", priority: 200 }]),
    simpleService("s", nameServiceSwitch, [{ database: "passwd", source: "systemd", priority: 300 }]),
  );
  const lines = files.get("/etc/nsswitch.conf")!.split("\n");
  assert.ok(lines.includes("hosts:          files resolve [!UNAVAIL=return] dns"));
  assert.ok(lines.includes("passwd:         files systemd"));
});

test("environment and sudoers keep what they are given", () => {
  const files = filesWith(
    simpleService("e", environment, { EDITOR: "vim", GREETING: "good day" }),
    simpleService("s", sudoers, ["alice ALL=(ALL) ALL"]),
  );
  assert.equal(files.get("/etc/environment"), 'EDITOR=vim\nGREETING="good day"\n');
  assert.equal(files.get("/etc/sudoers.d/meso"), "alice ALL=(ALL) ALL\n");
});

test("every time zone and locale of this machine is accepted", () => {
  const zones = existsSync("/usr/share/zoneinfo/tzdata.zi")
    ? readFileSync("/usr/share/zoneinfo/tzdata.zi", "utf8")
        .split("\n")
        .filter((line) => /^[ZL] /.test(line))
    : [];
  const zoneNames = zones.map((line) => line.split(" ")[line.startsWith("Z") ? 1 : 2]!);
  const supported = "/usr/share/i18n/SUPPORTED";
  const locales = existsSync(supported)
    ? readFileSync(supported, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split(" ")[0]!)
    : [];
  assert.deepEqual(
    [...zoneNames, "Etc/UTC", "America/Argentina/Buenos_Aires"].flatMap((timezone) =>
      recordProblems(inherit(base, { timezone })),
    ),
    [],
  );
  assert.deepEqual(
    [...locales, "C.UTF-8", "fr_FR.UTF-8@euro"].flatMap((locale) => recordProblems(inherit(base, { locale }))),
    [],
  );
});
