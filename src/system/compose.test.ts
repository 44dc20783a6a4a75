import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { MesoError } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";
import type { FileEntry, FileTree } from "../store/file-tree.ts";
import { composeSystem } from "./compose.ts";
import { lintSystem } from "./lint/lint-system.ts";
import type { SystemManifest } from "./manifest.ts";
import { emptyManifest, type PackageText, packagesOfText } from "./packages.testing.ts";

const sortedNames = ["base-passwd", "linux-image-test", "tool", "tool2"];
const md5 = (text: string) => createHash("md5").update(text).digest("hex");

const texts: PackageText[] = [
  {
    name: "base-passwd",
    files: {
      "/usr/share/base-passwd/passwd.master": "root:*:0:0:root:/root:/bin/sh\n",
      "/usr/share/base-passwd/group.master": "root:*:0:\nshadow:*:42:\n",
    },
  },
  {
    name: "tool",
    files: {
      "/usr/": "",
      "/usr/bin/": "",
      "/usr/sbin/": "",
      "/usr/lib/": "",
      "/usr/bin/tool.one": { mode: 0o755, text: "one" },
      "/etc/tool.conf": "setting\n",
      "/usr/lib/systemd/system/tool.service":
        "[Service]\nUser=_tool\nExecStart=/usr/bin/tool\n[Install]\nWantedBy=multi-user.target\n",
      "/usr/share/tool/template": "text",
    },
    controlFiles: {
      conffiles: "/etc/tool.conf\n",
      md5sums: `${md5("one")}  usr/bin/tool.one\n${md5("text")}  usr/share/tool/template\n`,
      postinst:
        '#!/bin/sh\nset -e\nif [ "$1" = configure ]; then\n' +
        "  adduser --system --group --home /var/lib/tool _tool\n  chmod 2750 /usr/bin/tool.one\n  chgrp _tool /usr/bin/tool.one\n" +
        "  update-alternatives --install /usr/bin/tool tool /usr/bin/tool.one 10 --slave /usr/share/t t /usr/share/tool/template\nfi\n",
    },
  },
  {
    name: "tool2",
    files: { "/usr/bin/tool.two": { mode: 0o755, text: "two" } },
    controlFiles: { postinst: "#!/bin/sh\nupdate-alternatives --install /usr/bin/tool tool /usr/bin/tool.two 5\n" },
  },
  {
    name: "linux-image-test",
    files: { "/boot/vmlinuz-6.0-test": "kernel", "/usr/lib/modules/6.0-test/kernel/x.ko": "m" },
  },
];

const compose = (changes: Partial<SystemManifest> = {}, list = texts) =>
  composeSystem({
    manifest: { ...emptyManifest, enabledUnits: ["tool.service"], accountNumbers: { _tool: 300 }, ...changes },
    ...packagesOfText(list),
    runTool: async () => new Map(),
    numberOf: () => undefined,
  });

const { readFile } = packagesOfText(texts);
const textAt = (tree: FileTree, path: string) => Buffer.from(readFile(tree.get(path) as FileEntry)).toString("utf8");
const sorted = (tree: FileTree) => [...tree].sort(([a], [b]) => compareBytes(a, b));

describe("composing a system", () => {
  it("brings packages, scripts' effects, alternatives and units together", async () => {
    const { tree, kernel, accounts } = await compose();
    assert.equal(accounts.uidOf("_tool"), 300);
    const tool = tree.get("/usr/bin/tool.one");
    assert.deepEqual([tool?.mode, tool?.gid], [0o2750, 300]);
    assert.equal((tree.get("/etc/alternatives/tool") as { target: string }).target, "/usr/bin/tool.one");
    assert.equal((tree.get("/usr/share/t") as { target: string }).target, "/etc/alternatives/t");
    assert.ok(tree.has("/etc/systemd/system/multi-user.target.wants/tool.service"));
    assert.equal(tree.get("/var/lib/tool")?.uid, 300);
    assert.deepEqual([kernel.version, kernel.image], ["6.0-test", "/boot/vmlinuz-6.0-test"]);
    for (const path of tree.keys()) assert.ok(path === "/" || tree.get(dirname(path))?.kind === "directory", path);
  });

  it("gives the same tree for any order of packages", async () => {
    const [one, other] = [await compose(), await compose({}, texts.toReversed())];
    assert.deepEqual(sorted(other.tree), sorted(one.tree));
  });

  it("writes a database that dpkg and update-alternatives read, and verify", async () => {
    const { tree } = await compose();
    const folder = mkdtempSync(join(tmpdir(), "composed-"));
    try {
      for (const [path, entry] of sorted(tree)) {
        const place = join(folder, path);
        mkdirSync(entry.kind === "directory" ? place : dirname(place), { recursive: true });
        if (entry.kind === "file") writeFileSync(place, readFile(entry));
        if (entry.kind === "symlink") symlinkSync(entry.target, place);
      }
      const run = (...command: string[]) => execFileSync(command[0]!, command.slice(1), { encoding: "utf8" });
      const database = join(folder, "var/lib/dpkg");
      const listed = run(
        "dpkg-query",
        `--admindir=${database}`,
        "-W",
        "-f",
        ["Package", "Version", "db:Status-Abbrev"]
          .map((field) => `\${${field}}`)
          .join(" ")
          .concat("\n"),
      );
      assert.equal(
        listed,
        sortedNames
          .map(
            (name) => `${name} 1 ii 
`,
          )
          .join(""),
      );
      assert.match(run("dpkg-query", `--admindir=${database}`, "-S", "/etc/tool.conf"), /^tool: /);
      assert.equal(run("dpkg", `--root=${folder}`, "--verify"), "");
      writeFileSync(join(folder, "etc/tool.conf"), "changed");
      assert.match(run("dpkg", `--root=${folder}`, "--verify", "tool"), /c \/etc\/tool\.conf/);
      const shown = run("update-alternatives", "--root", folder, "--query", "tool");
      assert.match(shown, /Status: auto/);
      assert.match(shown, /Alternative: \/usr\/bin\/tool\.two\nPriority: 5/);
      assert.match(shown, /Slaves:\n t \/usr\/share\/tool\/template/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses time zones and locales that no package brings", async () => {
    const list = [
      ...texts,
      {
        name: "names",
        files: { "/usr/share/zoneinfo/Europe/Paris": "TZif", "/usr/lib/locale/fr_FR.utf8/LC_TIME": "" },
      },
    ];
    const named = (zone: string, locale: string) => {
      const common = { user: "root", group: "root", mode: 0o644, origin: { by: "s" } };
      return compose(
        {
          files: [
            { kind: "symlink", path: "/etc/localtime", target: `/usr/share/zoneinfo/${zone}`, ...common },
            { kind: "file", path: "/etc/locale.conf", text: `LANG=${locale}\n`, ...common },
          ],
        },
        list,
      );
    };
    await named("Europe/Paris", "fr_FR.UTF-8");
    await named("Europe/Paris", "C");
    for (const zone of ["Europe/Pariss", "Europe"])
      await assert.rejects(named(zone, "fr_FR.UTF-9"), (error) => {
        assert.ok(error instanceof MesoError);
        assert.deepEqual(
          error.problems.map(({ code }) => code),
          ["unknown-time-zone", "unknown-locale"],
        );
        assert.equal(error.problems[1]?.hint, "did you mean fr_FR.UTF-8?");
        if (zone !== "Europe") assert.equal(error.problems[0]?.hint, "did you mean Europe/Paris?");
        return true;
      });
  });

  it("gives what tools make the mode that their own packages would", async () => {
    const list = [
      ...texts,
      { name: "udev", files: { "/usr/bin/systemd-hwdb": "", "/usr/lib/udev/hwdb.d/1.hwdb": "" } },
    ];
    const made = { size: 4, content: { kind: "bytes", bytes: Buffer.from("made") } } as const;
    const { tree } = await composeSystem({
      manifest: { ...emptyManifest, enabledUnits: ["tool.service"], accountNumbers: { _tool: 300 } },
      ...packagesOfText(list),
      runTool: async (run) => new Map(run.outputs.map((path) => [path, made])),
      numberOf: () => undefined,
    });
    assert.equal(tree.get("/usr/lib/udev/hwdb.bin")?.mode, 0o444);
  });

  it("lets the record choose among alternatives, and refuses what nobody offers", async () => {
    const { tree } = await compose({ alternatives: { tool: "/usr/bin/tool.two" } });
    assert.equal((tree.get("/etc/alternatives/tool") as { target: string }).target, "/usr/bin/tool.two");
    assert.equal(tree.has("/usr/share/t"), false);
    for (const alternatives of [{ tool: "/usr/bin/none" }, { tol: "/usr/bin/tool.two" }]) {
      await assert.rejects(
        compose({ alternatives }),
        (error) => error instanceof MesoError && error.code === "unknown-alternative",
      );
    }
  });

  it("lets services replace package files only when they say so", async () => {
    const file = {
      kind: "file",
      path: "/etc/tool.conf",
      text: "mine",
      user: "root",
      group: "_tool",
      mode: 0o640,
      origin: { by: "s" },
    } as const;
    await assert.rejects(
      compose({ files: [file] }),
      (error) => error instanceof MesoError && error.code === "file-already-shipped",
    );
    const { tree } = await compose({ files: [{ ...file, replacesPackageFile: true }] });
    assert.equal(textAt(tree, "/etc/tool.conf"), "mine");
    assert.equal(tree.get("/etc/tool.conf")?.gid, 300);
    await assert.rejects(compose({ files: [{ ...file, path: "/etc/x", user: "nobody-knows" }] }), MesoError);
  });

  it("is found wanting by lint where it would fail silently", async () => {
    const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    const common = { user: "root", group: "root", mode: 0o600, origin: { by: "s" } };
    const { tree } = await compose({
      files: [
        { kind: "file", path: "/etc/key", text: key, ...common },
        { kind: "symlink", path: "/etc/gone", target: "nowhere", ...common },
      ],
    });
    const broken = new Map(tree);
    broken.delete("/usr/bin/tool.one");
    broken.set("/etc/stray", { ...(tree.get("/etc/tool.conf") as FileEntry), uid: 777 });
    const manifest = { ...emptyManifest, enabledUnits: ["tool.service"] };
    const found = (one: FileTree) =>
      lintSystem({ tree: one, manifest, readFile }).filter(({ severity }) => severity !== "note");
    assert.deepEqual(
      found(tree).map(({ check, path }) => `${check} ${path ?? ""}`),
      [
        "no-module-dependencies /usr/lib/modules/6.0-test/modules.dep",
        "private-key /etc/key",
        "dangling-link /etc/gone",
      ],
    );
    const codes = found(broken).map(({ check }) => check);
    for (const check of ["missing-alternative", "unit-without-program", "unknown-owner"])
      assert.ok(codes.includes(check), check);
    const idle = [...tree].filter(([path]) => !path.includes(".wants"));
    assert.ok(
      lintSystem({ tree: new Map(idle), manifest: emptyManifest, readFile }).some(
        ({ check }) => check === "no-enabled-unit",
      ),
    );
  });
});
