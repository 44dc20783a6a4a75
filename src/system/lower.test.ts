import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { userAccount } from "../language/account.ts";
import { grub } from "../language/bootloader.ts";
import { label } from "../language/device.ts";
import { baseFileSystems, fileSystem } from "../language/file-system.ts";
import { inherit } from "../language/inherit.ts";
import { host, nameResolution } from "../language/name-resolution.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { basePackages, defineOperatingSystem } from "../language/operating-system.ts";
import { debian } from "../language/package-reference.ts";
import type { Service } from "../language/service-type.ts";
import { simpleService } from "../language/service-type.ts";
import { bin, programFile, sbin, text, textFile } from "../language/text.ts";
import { textPath } from "../store/store-path.ts";
import { activation, kernelModules, sysctl, tmpfiles } from "./essential-boot.ts";
import { directory, etcFile, etcFiles, symlink, systemFile, systemFiles } from "./essential-files.ts";
import { checks, profile, unitActive } from "./essential-profile.ts";
import { enableUnit, systemdUnits, unit } from "./essential-units.ts";
import { lowerSystem } from "./lower.ts";
import type { ManifestFile } from "./manifest.ts";
import { systemHash } from "./manifest-hash.ts";

const operatingSystem = defineOperatingSystem({ packages: basePackages, services: [] });
const root = fileSystem({ device: label("my-root"), mountPoint: "/", type: "ext4" });

const mini = operatingSystem({
  hostName: "mini-1",
  bootloader: grub({ targets: ["/dev/sda"] }),
  fileSystems: [root, ...baseFileSystems],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
});

function withServices(...services: readonly Service[]): OperatingSystem {
  return inherit(mini, { services });
}

function fileOf(os: OperatingSystem, path: string): ManifestFile | undefined {
  return lowerSystem(os).files.find((file) => file.path === path);
}

function textOf(os: OperatingSystem, path: string): string {
  const file = fileOf(os, path);
  assert.ok(file?.kind === "file", `${path} is a file`);
  return file.text;
}

test("the smallest system of the talks lowers as it is", () => {
  const manifest = lowerSystem(mini);
  assert.equal(manifest.kernel.package, "linux-image-cloud-amd64");
  assert.deepEqual(manifest.kernel.arguments, ["console=tty0", "console=ttyS0,115200"]);
  assert.deepEqual(manifest.fileSystems[0]?.device, { kind: "label", label: "my-root" });
  assert.equal(textOf(mini, "/etc/hostname"), "mini-1\n");
  assert.match(textOf(mini, "/etc/hosts"), /^127\.0\.1\.1\tmini-1$/m);
  assert.deepEqual(fileOf(mini, "/etc/machine-id")?.mode, 0o444);
  assert.equal(textOf(mini, "/etc/machine-id"), "");
  const paths = manifest.files.map(({ path }) => path);
  assert.deepEqual(paths, [...paths].sort());
});

test("the kernel's arguments may come in one string, as in the talks", () => {
  const os = inherit(mini, { kernelArguments: ["console=tty0 console=ttyS0,115200"] });
  assert.deepEqual(lowerSystem(os).kernel.arguments, ["console=tty0", "console=ttyS0,115200"]);
});

test("texts bring the packages and files that they name", () => {
  const conf = textFile("chrony.conf", text`pool ${"example"}\n`);
  const start = programFile("start", text`#!/bin/sh\nexec ${sbin(debian("chrony"), "chronyd")} -f ${conf}\n`);
  const os = withServices(
    simpleService("clock", systemdUnits, [
      unit({ name: "clock.service", sections: { Service: { ExecStart: start } } }),
    ]),
    simpleService("link", etcFiles, [
      etcFile("/etc/chrony/chrony.conf", conf),
      etcFile("/etc/copy", conf, { mode: 0o600 }),
    ]),
    simpleService("tool", systemFiles, [symlink("/usr/local/bin/t", bin("jq", "jq"))]),
  );
  const manifest = lowerSystem(os);
  const confPath = textPath("chrony.conf", "pool example\n");
  const startPath = textPath("start", `#!/bin/sh\nexec /usr/sbin/chronyd -f ${confPath}\n`, [confPath]);
  assert.equal(textOf(os, "/etc/systemd/system/clock.service"), `[Service]\nExecStart=${startPath}\n`);
  assert.equal(fileOf(os, startPath)?.mode, 0o555);
  assert.equal(fileOf(os, confPath)?.mode, 0o444);
  assert.deepEqual(fileOf(os, "/etc/chrony/chrony.conf")?.kind, "symlink");
  assert.equal(textOf(os, "/etc/copy"), "pool example\n");
  const wished = manifest.packages.map(({ name }) => name);
  assert.ok(wished.includes("chrony") && wished.includes("jq"));
  assert.deepEqual(manifest.packages.find(({ name }) => name === "chrony")?.origins[0]?.by, "clock");
});

test("the hash is the same in any listing order, and wherever it is written", () => {
  const services = [
    simpleService("a", profile, ["htop", debian("jq")]),
    simpleService("b", sysctl, { "net.ipv4.ip_forward": 1 }),
    simpleService("c", etcFiles, [etcFile("/etc/c", "c")]),
    simpleService("d", systemdUnits, [unit({ name: "d.service", text: "[Install]\n" }), enableUnit("e.timer")]),
    simpleService("e", tmpfiles, ["d /run/e"]),
    simpleService("f", activation, [{ name: "f", script: "true" }]),
    simpleService("g", tmpfiles, ["d /run/g"]),
    simpleService("h", checks, [unitActive("d.service")]),
  ];
  const packages = ["a2ps", "zsh", debian("mc")];
  const users = ["u1", "u2", "u3"].map((name) => userAccount({ name }));
  const make = (order: { services: Service[]; packages: typeof packages; users: typeof users }) =>
    systemHash(lowerSystem(operatingSystem({ hostName: "x", fileSystems: [root], ...order })), []);
  const expected = make({ services, packages, users });
  fc.assert(
    fc.property(
      fc.shuffledSubarray(services, { minLength: services.length }),
      fc.shuffledSubarray(packages, { minLength: packages.length }),
      fc.shuffledSubarray(users, { minLength: users.length }),
      (shuffledServices, shuffledPackages, shuffledUsers) => {
        assert.equal(make({ services: shuffledServices, packages: shuffledPackages, users: shuffledUsers }), expected);
      },
    ),
    { numRuns: 30 },
  );
  assert.notEqual(make({ services: services.slice(1), packages, users }), expected);
});

test("moving a program changes no hash", () => {
  const at = (name: string) => ({
    here: inherit(mini, { users: [userAccount({ name })], services: [simpleService("s", profile, ["jq"])] }),
    there: inherit(mini, {
      users: [userAccount({ name })],
      services: [simpleService("s", profile, ["jq"])],
    }),
  });
  const [here, there] = [lowerSystem(at("a").here), lowerSystem(at("a").there)];
  assert.notDeepEqual(here.users[0]?.origin, there.users[0]?.origin);
  assert.equal(systemHash(here, []), systemHash(there, []));
});

test("archives name the system too, in any order", () => {
  const manifest = lowerSystem(mini);
  const archive = (name: string, version: string) => ({ name, version, architecture: "amd64", sha256: "0".repeat(64) });
  const [a, b] = [archive("a", "1"), archive("b", "1")];
  assert.equal(systemHash(manifest, [a!, b!]), systemHash(manifest, [b!, a!]));
  assert.notEqual(systemHash(manifest, [a!, b!]), systemHash(manifest, [a!, archive("b", "2")]));
});

test("another host name changes only the files that hold it", () => {
  const before = lowerSystem(mini).files;
  const after = lowerSystem(inherit(mini, { hostName: "mini-2" })).files;
  const changed = after.filter(
    (file, index) =>
      JSON.stringify(file.kind === "file" && file.text) !==
      JSON.stringify(before[index]?.kind === "file" && (before[index] as { text: string }).text),
  );
  assert.deepEqual(
    changed.map(({ path }) => path),
    ["/etc/hostname", "/etc/hosts"],
  );
});

test("whose Recommends come is a part of the system, in any order", () => {
  assert.equal(lowerSystem(mini).recommends, false);
  const some = lowerSystem(inherit(mini, { recommends: ["vim", debian("less"), "vim"] }));
  assert.deepEqual(some.recommends, ["less", "vim"]);
  assert.equal(lowerSystem(inherit(mini, { recommends: true })).recommends, true);
  assert.notEqual(systemHash(some, []), systemHash(lowerSystem(mini), []));
});

test("numbers of accounts are fixed by their names", () => {
  const users = [
    userAccount({ name: "alice" }),
    userAccount({ name: "bob", uid: 5000 }),
    userAccount({ name: "root", passwordHash: "" }),
    userAccount({ name: "www-data", system: true }),
    userAccount({ name: "munge", system: true, group: "munge" }),
    userAccount({ name: "mydaemon", system: true, supplementaryGroups: ["adm"] }),
    userAccount({ name: "carol", group: "users" }),
  ];
  const manifest = lowerSystem(inherit(mini, { users, accountNumbers: { mydaemon: 950 } }));
  const numbers = Object.fromEntries(manifest.users.map(({ name, uid }) => [name, uid]));
  assert.equal(numbers.bob, 5000);
  assert.equal(numbers.root, 0);
  assert.equal(numbers["www-data"], 33);
  assert.equal(numbers.mydaemon, 950);
  assert.ok(numbers.alice! >= 10000 && numbers.alice! < 60000);
  assert.equal(lowerSystem(inherit(mini, { users: users.slice(0, 1) })).users[0]?.uid, numbers.alice);
  const groups = Object.fromEntries(manifest.groups.map(({ name, gid }) => [name, gid]));
  assert.deepEqual(Object.keys(groups), ["alice", "bob", "munge", "mydaemon"]);
  assert.equal(groups.alice, numbers.alice);
  assert.equal(groups.munge, numbers.munge);
});

test("fields of the record become files", () => {
  const os = inherit(mini, {
    timezone: "Europe/Paris",
    locale: "fr_FR.UTF-8",
    keyboard: { layout: "fr", variant: "oss" },
    sudoers: ["%sudo ALL=(ALL:ALL) ALL"],
    motd: "Hello\n",
    nameResolution: nameResolution({
      hosts: [host("10.0.0.1", "mini-1.example", "mini-1")],
      nameServers: ["10.0.0.53"],
      searchDomains: ["example"],
    }),
    services: [
      simpleService("m", kernelModules, ["ip_vs", "br_netfilter", "ip_vs"]),
      simpleService("d", systemFiles, [directory("/srv/x", { mode: 0o700 }), systemFile("/srv/x/y", "y")]),
    ],
  });
  const manifest = lowerSystem(os);
  assert.equal(textOf(os, "/etc/resolv.conf"), "search example\nnameserver 10.0.0.53\n");
  assert.match(textOf(os, "/etc/hosts"), /^10\.0\.0\.1\tmini-1\.example\tmini-1$/m);
  assert.doesNotMatch(textOf(os, "/etc/hosts"), /127\.0\.1\.1/);
  assert.equal(textOf(os, "/etc/locale.conf"), "LANG=fr_FR.UTF-8\n");
  assert.equal(textOf(os, "/etc/modules-load.d/meso.conf"), "br_netfilter\nip_vs\n");
  assert.equal(fileOf(os, "/etc/sudoers.d/meso")?.mode, 0o440);
  assert.equal((fileOf(os, "/etc/localtime") as { target: string }).target, "/usr/share/zoneinfo/Europe/Paris");
  assert.deepEqual(manifest.enabledUnits, ["console-setup.service", "keyboard-setup.service"]);
  for (const name of ["locales-all", "sudo", "console-setup"])
    assert.ok(
      manifest.packages.some((wish) => wish.name === name),
      name,
    );
  const resolved = lowerSystem(inherit(mini, { nameResolution: nameResolution({ nameServers: "resolved" }) }));
  assert.deepEqual(resolved.enabledUnits, ["systemd-resolved.service"]);
});

test("a hundred machines are evaluated and lowered without a quadratic slip", () => {
  const before = process.cpuUsage();
  for (let index = 0; index < 100; index++) {
    const os = operatingSystem({
      hostName: `node-${index}`,
      fileSystems: [fileSystem({ device: label("my-root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
      users: ["a", "b", "c"].map((name) => userAccount({ name })),
      services: Array.from({ length: 20 }, (_, service) =>
        simpleService(`s${service}`, etcFiles, [
          etcFile(`/etc/s${service}`, textFile(`s${service}`, text`host ${index}\n`)),
        ]),
      ),
    });
    systemHash(lowerSystem(os), []);
  }
  // Of this process alone, so that a busy host does not count. Ten times what is needed: the figure is the benchmark's.
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  assert.ok(seconds < 3, `${seconds} s`);
});

test("who enables a unit, and which services there are, is told and is no part of the hash", () => {
  const alone = (name: string) =>
    simpleService(name, systemdUnits, [
      unit({ name: "a.service", text: "[Service]\nExecStart=/bin/a\n" }),
      enableUnit("a.service"),
    ]);
  const one = lowerSystem(withServices(alone("one")));
  const other = lowerSystem(withServices(alone("other")));
  assert.deepEqual(Object.keys(one.origins!.enabledUnits), ["a.service"]);
  assert.equal(one.origins!.enabledUnits["a.service"]![0]!.by, "one");
  assert.equal(one.origins!.enabledUnits["a.service"]![0]!.where?.file, fileURLToPath(import.meta.url));
  assert.deepEqual(
    other.origins!.services.map(({ by }) => by),
    ["other"],
  );
  assert.equal(systemHash(one, []), systemHash(other, []));
});
