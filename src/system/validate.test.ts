import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Problem } from "../base/error.ts";
import { MesoError } from "../base/error.ts";
import { userAccount, userGroup } from "../language/account.ts";
import { grub } from "../language/bootloader.ts";
import { devicePath, label } from "../language/device.ts";
import { baseFileSystems, fileSystem } from "../language/file-system.ts";
import { inherit } from "../language/inherit.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { basePackages, defineOperatingSystem } from "../language/operating-system.ts";
import { debian } from "../language/package-reference.ts";
import { locationOf } from "../language/record.ts";
import type { Service } from "../language/service-type.ts";
import { extend, serviceType, simpleService } from "../language/service-type.ts";
import { accounts } from "./essential-accounts.ts";
import { kernelModules, sysctl, tmpfiles } from "./essential-boot.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import { alternatives, environment, profile } from "./essential-profile.ts";
import { enableUnit, maskUnit, systemdUnits } from "./essential-units.ts";
import { lowerSystem } from "./lower.ts";
import { unknownPackageProblems } from "./validate-packages.ts";

const operatingSystem = defineOperatingSystem({ packages: basePackages, services: [] });
const root = fileSystem({ device: label("my-root"), mountPoint: "/", type: "ext4" });

const mini = operatingSystem({
  hostName: "mini-1",
  bootloader: grub({ targets: ["/dev/sda"] }),
  fileSystems: [root, ...baseFileSystems],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
});

function problemsOf(os: OperatingSystem): readonly Problem[] {
  try {
    lowerSystem(os);
  } catch (error) {
    assert.ok(error instanceof MesoError, String(error));
    return error.problems;
  }
  return [];
}

function codesOf(os: OperatingSystem): string[] {
  return problemsOf(os).map(({ code }) => code);
}

function withServices(...services: readonly Service[]): OperatingSystem {
  return inherit(mini, { services });
}

test("all mistakes are told at once, each with its place", () => {
  const os = inherit(mini, {
    hostName: "-mini",
    timezone: "Mars Base",
    fileSystems: [
      fileSystem({ device: label("a-label-of-seventeen"), mountPoint: "/srv", type: "ext4" }),
      ...baseFileSystems,
      ...baseFileSystems,
    ],
    packages: ["Htop"],
    users: [userAccount({ name: "alice", group: "weel", supplementaryGroups: ["sudoo"] })],
    services: [
      simpleService("a", etcFiles, [etcFile("/etc/x", "1")]),
      simpleService("b", etcFiles, [etcFile("/etc/x", "1")]),
    ],
  });
  const problems = problemsOf(os);
  assert.deepEqual(
    problems.map(({ code, field }) => [code, field]),
    [
      ["wrong-host-name", "hostName"],
      ["wrong-label", "fileSystems[0].device"],
      ["wrong-time-zone", "timezone"],
      ["wrong-value", "packages[0]"],
      ["duplicate-mount-point", "fileSystems[2].mountPoint"],
      ["missing-root", "fileSystems"],
      ["two-writers", undefined],
      ["unknown-group", undefined],
      ["unknown-group", undefined],
    ],
  );
  for (const problem of problems) assert.ok(problem.where, `${problem.code} has a place`);
  assert.equal(problems.at(-1)?.hint, "did you mean sudo?");
  const writers = problems.find(({ code }) => code === "two-writers");
  assert.match(writers?.what ?? "", /by a and by b/);
  assert.ok(writers?.also);
});

test("each of these mistakes is found", () => {
  const cases: readonly (readonly [string, OperatingSystem])[] = [
    [
      "wrong-path",
      inherit(mini, { fileSystems: [root, fileSystem({ device: label("a"), mountPoint: "srv", type: "ext4" })] }),
    ],
    [
      "wrong-path",
      inherit(mini, {
        fileSystems: [root, fileSystem({ device: label("a"), mountPoint: "/srv/../etc", type: "ext4" })],
      }),
    ],
    ["missing-device", inherit(mini, { fileSystems: [fileSystem({ device: "none", mountPoint: "/", type: "ext4" })] })],
    [
      "wrong-value",
      inherit(mini, { fileSystems: [fileSystem({ device: devicePath("sda1"), mountPoint: "/", type: "ext4" })] }),
    ],
    ["wrong-path", withServices(simpleService("a", etcFiles, [etcFile("etc/x", "")]))],
    ["wrong-path", withServices(simpleService("a", etcFiles, [etcFile("/etc/../x", "")]))],
    ["wrong-path", withServices(simpleService("a", etcFiles, [etcFile("/etc/a\nb", "")]))],
    ["wrong-mode", withServices(simpleService("a", etcFiles, [etcFile("/etc/x", "", { mode: 0o10000 })]))],
    ["not-a-directory", withServices(simpleService("a", etcFiles, [etcFile("/etc/x", ""), etcFile("/etc/x/y", "")]))],
    ["two-writers", withServices(simpleService("a", etcFiles, [etcFile("/etc/hostname", "x")]))],
    ["conflicting-values", withServices(simpleService("a", sysctl, { k: 1 }), simpleService("b", sysctl, { k: 2 }))],
    [
      "conflicting-values",
      withServices(simpleService("a", environment, { K: "1" }), simpleService("b", environment, { K: "2" })),
    ],
    [
      "conflicting-values",
      withServices(simpleService("a", alternatives, { vi: "/x" }), simpleService("b", alternatives, { vi: "/y" })),
    ],
    [
      "masked-and-enabled",
      withServices(simpleService("a", systemdUnits, [enableUnit("x.service"), maskUnit("x.service")])),
    ],
    ["wrong-type", withServices(simpleService("a", etcFiles, etcFile("/etc/x", "") as never))],
    ["wrong-value", withServices(simpleService("a", profile, ["No Package"]))],
    ["wrong-value", withServices(simpleService("a", kernelModules, ["../x"]))],
    ["wrong-value", withServices(simpleService("a", tmpfiles, ["d /x\nd /y"]))],
    ["wrong-value", inherit(mini, { kernelArguments: [" "] })],
    ["wrong-value", inherit(mini, { recommends: ["No Package"] })],
    ["wrong-type", inherit(mini, { recommends: "vim" as never })],
    ["wrong-name", withServices(simpleService("a", accounts, [userAccount({ name: "a:b" })]))],
    ["duplicate-user", inherit(mini, { users: [userAccount({ name: "a" }), userAccount({ name: "a" })] })],
    [
      "duplicate-user-number",
      inherit(mini, { users: [userAccount({ name: "a", uid: 2000 }), userAccount({ name: "b", uid: 2000 })] }),
    ],
    [
      "duplicate-group-number",
      inherit(mini, { groups: [userGroup({ name: "a", gid: 2000 }), userGroup({ name: "b", gid: 2000 })] }),
    ],
    ["reserved-number", inherit(mini, { users: [userAccount({ name: "a", uid: 500 })] })],
    ["reserved-number", inherit(mini, { users: [userAccount({ name: "a", uid: 101, system: true })] })],
    ["reserved-number", inherit(mini, { users: [userAccount({ name: "toor", uid: 0, group: "root" })] })],
    ["unnumbered-account", inherit(mini, { users: [userAccount({ name: "mydaemon", system: true })] })],
    [
      "wrong-key",
      inherit(mini, { users: [userAccount({ name: "a", authorizedKeys: ["-----BEGIN OPENSSH PRIVATE KEY-----"] })] }),
    ],
    ["wrong-value", inherit(mini, { users: [userAccount({ name: "a", passwordHash: "secret" })] })],
    ["missing-field", inherit(mini, { hostName: undefined as never })],
  ];
  for (const [code, os] of cases) {
    const found = problemsOf(os);
    assert.ok(
      found.some((problem) => problem.code === code),
      `${code} among ${JSON.stringify(found)}`,
    );
    for (const problem of found) assert.ok(problem.where, `${problem.code} has a place`);
  }
});

test("an option of the wrong type is told with its service, whoever finds it", () => {
  const service = serviceType<{ names: readonly string[] }>({
    name: "validated",
    description: "",
    options: { names: "Names of things." },
    defaults: {},
    validate: ({ names }) => names.flatMap(() => []),
  });
  const folded = serviceType<{ names: readonly string[] }>({
    name: "folded",
    description: "",
    options: { names: "Names of things." },
    defaults: {},
    extensions: [extend(etcFiles, ({ names }) => [etcFile("names", names.map((name) => `${name}\n`).join(""))])],
  });
  for (const wrong of [service, folded]) {
    for (const names of [5, "x", {}] as never[]) {
      const [problem, ...more] = problemsOf(withServices(wrong({ names })));
      assert.deepEqual([problem?.code, more], ["wrong-type", []]);
      assert.match(problem?.expected ?? "", /Names of things/);
      assert.match(problem?.where?.file ?? "", /validate\.test\.ts$/);
    }
  }
});

test("options of services are checked", () => {
  const web = serviceType<{ port: number }>({
    name: "web",
    description: "",
    options: { port: "TCP port." },
    defaults: {},
    validate: ({ port }) =>
      port > 0 ? [] : [{ code: "wrong-port", field: "port", what: `found ${port}`, expected: "1 to 65535" }],
  });
  assert.deepEqual(codesOf(withServices(web({ port: 80 }))), []);
  assert.deepEqual(
    problemsOf(withServices(web({ port: 0 }))).map(({ code, field }) => [code, field]),
    [["wrong-port", "web.port"]],
  );
  assert.deepEqual(
    problemsOf(withServices(web({ prot: 80 } as never))).map(({ code, field, hint }) => [code, field, hint]),
    [
      ["unknown-option", "web.prot", "did you mean port?"],
      ["missing-field", "web.port", undefined],
    ],
  );
});

test("unknown packages are told with the nearest names and who asked", () => {
  const known = ["htop", "hto", "vim"];
  const wish = debian("hotp");
  const derived = inherit(inherit(mini, { packages: ["htpo", wish] }), { hostName: "mini-2" });
  const manifest = lowerSystem(derived);
  const isKnown = (name: string) => known.includes(name) || basePackages.includes(name);
  const found = unknownPackageProblems(manifest, isKnown, () => known);
  // A reference knows where it was made; a bare name is where its field was written, not where that was inherited.
  assert.deepEqual(found.find(({ what }) => what.includes("hotp"))?.where, locationOf(wish));
  const problems = found.filter(({ what }) => what.includes("htpo"));
  assert.equal(problems[0]?.where?.line, locationOf(wish)!.line + 1);
  assert.notEqual(problems[0]?.where?.column, locationOf(derived)?.column);
  assert.equal(problems[0]?.hint, "did you mean hto or htop?");
  assert.match(problems[0]?.where?.file ?? "", /validate\.test\.ts$/);
});

test("whatever stands in a field, a person is told and nothing breaks", () => {
  const fields = Object.keys(mini) as (keyof OperatingSystem)[];
  const anything = fc.anything({ withNullPrototype: true, withBigInt: true, maxDepth: 3 });
  fc.assert(
    fc.property(fc.constantFrom(...fields), anything, (field, value) => {
      // Throws what is no MesoError when something breaks.
      problemsOf(inherit(mini, { [field]: value } as never));
    }),
    { numRuns: 500 },
  );
  const makers: readonly (readonly [
    (given: never) => unknown,
    "users" | "groups" | "fileSystems" | "bootloader",
    object,
  ])[] = [
    [userAccount, "users", userAccount({ name: "a" })],
    [userGroup, "groups", userGroup({ name: "a" })],
    [fileSystem, "fileSystems", root],
    [grub, "bootloader", grub({})],
  ];
  for (const [make, field, good] of makers) {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), anything, (key, value) => {
        const record = make({ ...good, [key]: value } as never);
        problemsOf(inherit(mini, { [field]: field === "bootloader" ? record : [record] } as never));
      }),
      { numRuns: 200 },
    );
  }
});
