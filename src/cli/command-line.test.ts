import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Problem } from "../base/error.ts";
import { openChannel } from "../build/channel.ts";
import { hostArchitecture } from "../build/host-architecture.ts";
import { type MesoRun, runMeso, startMeso } from "../test-support/meso-process.ts";
import { testSession } from "../test-support/test-session.ts";
import { commandNames } from "./commands.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-command-line-"));
const store = join(folder, "store");
after(() => rmSync(folder, { recursive: true, force: true }));

async function meso(...args: string[]): Promise<MesoRun> {
  const run = await runMeso(args, { store, cwd: folder });
  assert.doesNotMatch(run.stdout + run.stderr, /^ {4}at /m, "no stack trace");
  return run;
}

describe("the command line", () => {
  it("gives an overview, and help for every command", async () => {
    const overview = await meso("--help");
    assert.equal(overview.code, 0);
    const helps = await Promise.all(commandNames.map(({ words }) => meso(...words, "--help")));
    for (const [i, { words, summary }] of commandNames.entries()) {
      const name = words.join(" ");
      assert.ok(overview.stdout.includes(`  ${name}`), name);
      const { code, stdout, stderr } = helps[i]!;
      assert.deepEqual([code, stderr], [0, ""], name);
      assert.ok(stdout.startsWith(`Usage: meso ${name} [OPTION…]`), stdout);
      assert.ok(stdout.toLowerCase().includes(summary.toLowerCase()));
      assert.match(stdout, /--json/);
      const wide = [...overview.stdout.split("\n"), ...stdout.split("\n")].filter((line) => line.length > 120);
      assert.deepEqual(wide, []);
    }
  });

  const misused: readonly (readonly [string, RegExp])[] = [
    ["", /Usage: meso COMMAND/],
    ["systm image", /systm image: no such command\n {2}hint: did you mean meso system image\?/],
    ["system imag x", /did you mean meso system image\?/],
    ["system", /expected: system image, system vm,/],
    ["frobnicate", /no such command\n {2}hint: meso --help/],
    ["system image", /meso system image needs FILE/],
    ["system image a b", /does not take "b"/],
    ["system image --ouput x a", /has no option --ouput\n {2}hint: did you mean --output\?/],
    ["system image a -o", /--output needs a value/],
    ["system image a --boot=3", /--boot takes no value/],
    ["system image a --format vdi", /found the format "vdi"\n {2}expected: raw or qcow2/],
    ["system image a --size big", /size/],
    ["system vm a --cores none", /--cores none/],
    ["test", /meso test needs FILE/],
  ];
  for (const [line, said] of misused) {
    it(`ends with 2 and says what was meant: meso ${line}`, async () => {
      const { code, stdout, stderr } = await meso(...line.split(" ").filter(Boolean));
      assert.equal(code, 2);
      assert.match(stdout + stderr, said);
    });
  }

  it("prints problems as JSON too, alone on standard output", async () => {
    const { code, stdout, stderr } = await meso("system", "build", "nowhere.ts", "--json");
    assert.deepEqual([code, stderr], [1, ""]);
    const { problems } = JSON.parse(stdout) as { problems: Problem[] };
    assert.deepEqual(
      problems.map((problem) => problem.code),
      ["no-such-file"],
    );
  });

  it("runs stories, tells each outcome, and ends with 1 when one fails", async () => {
    const file = join(folder, "some.test.ts");
    const lines = [
      'import { withMachines } from "mesoforge/testing";',
      'import { test } from "node:test";',
      'test("one that passes", () => { if (process.env.MESO_STORE !== "/some/store") throw new Error("which store?"); });',
      'test("one that fails", async () => withMachines({ web: {} as never }, async () => {}));',
    ];
    writeFileSync(file, lines.join("\n"));
    const { code, stdout } = await meso("test", file, "--json", "--store", "/some/store");
    assert.equal(code, 1);
    const { tests } = JSON.parse(stdout) as { tests: { name: string; outcome: string; error?: string }[] };
    const [passed, failed] = tests;
    assert.deepEqual([tests.length, passed?.outcome, failed?.outcome], [2, "passed", "failed"]);
    assert.match(failed?.error ?? "", /web/);
    const only = await meso("test", file, "--only", "that passes", "--store", "/some/store");
    assert.equal(only.code, 0);
    assert.match(only.stdout, /one that passes/);
    const missing = await meso("test", "nowhere.test.ts");
    assert.deepEqual([missing.code, missing.stdout], [1, ""]);
    assert.match(missing.stderr, /nowhere\.test\.ts: no such file\n {2}expected: a test/);
    assert.match((await meso("test", file, "--at-once", "0")).stderr, /--at-once 0\n {2}expected: a number/);
  });

  it("finds services of the catalogue, and proposes near names", async () => {
    assert.match((await meso("system", "search", "chrony")).stdout, /^chrony\n/);
    const listed = JSON.parse((await meso("system", "search", "clock", "--json")).stdout) as unknown[];
    assert.ok(listed.length > 0);
    const { code, stderr } = await meso("system", "search", "chorny");
    assert.equal(code, 1);
    assert.match(stderr, /did you mean chrony\?/);
  });

  it("describes a service of the catalogue with types, defaults and a use of it", async () => {
    const { code, stdout } = await meso("system", "describe", "slurmctld");
    assert.equal(code, 0);
    assert.match(stdout, /^slurmctld\n {2}Controller of a Slurm cluster/);
    assert.match(stdout, /^ {2}cluster: SlurmCluster\n {4}The cluster that it controls.*\n {4}required$/m);
    assert.match(stdout, /^ {2}allow: string\[\]\n {4}Networks.*\n {4}default \[\]$/m);
    assert.match(stdout, /^ {2}interface SlurmPartition/m);
    assert.match(
      stdout,
      /^ {2}import \{ slurmctld \} from "mesoforge\/services";\n\n {2}slurmctld\(\{ cluster: waves/m,
    );
    const told = JSON.parse((await meso("system", "describe", "mailRelay", "--json")).stdout) as { name: string };
    assert.equal(told.name, "mail-relay");
    assert.match((await meso("system", "describe", "slurmctl")).stderr, /did you mean slurmctld/);
    const found = (await meso("system", "search", "ldap")).stdout;
    for (const name of ["slapd", "nslcd", "sssd"]) assert.match(found, new RegExp(`^${name} `, "m"));
  });

  it("ends with 130 on Ctrl-C in the midst of a download and leaves no lock behind", async () => {
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const silent = createServer(() => asked()).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const mirror = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/debian`;
    try {
      const env = { MESO_DEBIAN_MIRROR: mirror, MESO_DEBIAN_SECURITY_MIRROR: mirror };
      const { child, ended } = startMeso(["pull"], { store, cwd: folder, env });
      await isAsked;
      child.kill("SIGINT");
      const { code, stdout, stderr } = await ended;
      assert.deepEqual([code, stdout], [130, ""]);
      assert.doesNotMatch(stderr, /^ {4}at /m);
      const made = readdirSync(store, { recursive: true, encoding: "utf8" });
      assert.deepEqual(
        made.filter((name) => /meso\.lock$|\.part$/.test(name)),
        [],
      );
      assert.ok(!existsSync(join(folder, "meso.lock")));
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });
});

/** A program with a mistake, and what is said: the place relative to the folder, and what to do. */
const mistaken: Readonly<Record<string, readonly [string, readonly RegExp[]]>> = {
  "a syntax error": [
    `import { operatingSystem } from "mesoforge";
export default operatingSystem({
  hostName: "a"
  fileSystems: [],
});`,
    [/^broken\.ts:4:3: .*\[syntax\]$/m],
  ],
  "a name declared twice": [
    `import { operatingSystem } from "mesoforge";
import "./twice.ts";
export default operatingSystem({});`,
    [/^twice\.ts:3:7: .*'web' has already been declared \[syntax\]$/m],
  ],
  "what Node cannot strip": [
    "\nenum A { x }\nexport default A;",
    [/^broken\.ts:2:1: .*enum/m, /hint: .*write no enum/],
  ],
  "a file that is not there": [
    'import x from "./hosts";\nexport default x;',
    [/^broken\.ts:1:15: there is no file .*hosts/m],
  ],
  "a package that is not there": [
    'import x from "lodash";\nexport default x;',
    [/^broken\.ts:1:15: there is no package lodash/m],
  ],
  "a misspelt export": [
    'import { operatingSystm } from "mesoforge";\nexport default operatingSystm({});',
    [/^broken\.ts:1:10: mesoforge exports no operatingSystm\n {2}hint: did you mean operatingSystem\?/m],
  ],
  "a record asked of the catalogue": [
    'import { fileSystem } from "mesoforge/services";\nexport default fileSystem;',
    [/^broken\.ts:1:10: mesoforge\/services exports no fileSystem\n {2}hint: mesoforge exports it/m],
  ],
  "no default export": ["export const a = 1;", [/^broken\.ts has no default export\n {2}expected: export default op/m]],
  "another default export": ["export default 42;", [/^broken\.ts has a default export that is number/m]],
  "an exception": [
    "const names: string[] = [];\nexport default names[0]!.toLowerCase();",
    [/^broken\.ts:2:26: .*toLowerCase/m],
  ],
  "many mistakes": [
    `import { baseServices, fileSystem, label, operatingSystem } from "mesoforge";
import { chrony } from "mesoforge/services";
export default operatingSystem({
  hostName: "web_1",
  fileSystems: [
    fileSystem({ device: label("a"), mountPoint: "/srv", type: "ext4" }),
    fileSystem({ device: label("b"), mountPoint: "/srv", type: "ext4" }),
  ],
  services: [...baseServices, chrony({ servers: ["a"] }), chrony({ servers: ["b"] })],
  timezon: "Europe/Paris",
} as never);`,
    [
      /^5 problems:$/m,
      /^broken\.ts:3:16: timezon: .*\n {2}hint: did you mean timezone\?/m,
      /^broken\.ts:3:16: hostName: found "web_1"\n {2}expected: /m,
      /^broken\.ts:7:5: fileSystems\[1\]\.mountPoint: .*\n {2}also: broken\.ts:6:5\n {2}hint: /m,
      /^broken\.ts:3:16: fileSystems: no file system is mounted on "\/"\n {2}hint: add fileSystem/m,
      /^broken\.ts:9:\d+: services: two services are named chrony\n {2}also: broken\.ts:9:/m,
    ],
  ],
};

describe("a program with mistakes", () => {
  for (const [name, [program, expected]] of Object.entries(mistaken)) {
    it(`is told where and what: ${name}`, async () => {
      writeFileSync(join(folder, "broken.ts"), program);
      writeFileSync(join(folder, "twice.ts"), "export const web = 1;\n\nconst web = 2;\n");
      const { code, stdout, stderr } = await meso("system", "build", "broken.ts");
      assert.deepEqual([code, stdout], [1, ""]);
      for (const pattern of expected) assert.match(stderr, pattern);
    });
  }

  it("is told the nearest names of packages that the channel does not have", async () => {
    const session = testSession();
    const request = {
      suite: "trixie",
      components: ["main"],
      architectures: [hostArchitecture()],
      updates: true,
      security: true,
    };
    await openChannel(session, request);
    writeFileSync(
      join(folder, "wishes.ts"),
      `import { basePackages, debian, fileSystem, label, operatingSystem } from "mesoforge";
export default operatingSystem({
  hostName: "a",
  fileSystems: [fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" })],
  packages: [...basePackages, debian("tcpdmp"), "chorny"],
});`,
    );
    const { code, stderr } = await runMeso(["system", "build", "wishes.ts", "--lock", session.lockFile], {
      store: session.store.directory,
      cwd: folder,
    });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^wishes\.ts:5:31: .* tcpdmp, which trixie does not have\n {2}hint: did you mean tcpdump/m);
    assert.match(stderr, /chorny, .*\n {2}hint: did you mean chrony/);
  });
});
