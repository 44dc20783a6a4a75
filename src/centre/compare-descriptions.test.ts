import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sha256 } from "../base/hash.ts";
import { compareDescriptions } from "./compare-descriptions.ts";
import {
  describedLink,
  describedPackage,
  describedStoreFile,
  describedText,
  emptyDescription,
  hashedDescription,
} from "./system-description.testing.ts";
import type { DescribedFile, SystemDescription } from "./system-description.ts";

describe("packages", () => {
  it("come, go, rise, fall and are rebuilt", () => {
    const before = hashedDescription({
      packages: [
        describedPackage("gone", "1"),
        describedPackage("rises", "1.9"),
        describedPackage("falls", "1:1"),
        describedPackage("same", "1"),
        describedPackage("rebuilt", "1"),
        describedPackage("grew-up", "1", { architecture: "amd64" }),
      ],
    });
    const after = hashedDescription({
      packages: [
        describedPackage("came", "1"),
        describedPackage("rises", "1.10"),
        describedPackage("falls", "2"),
        describedPackage("same", "1"),
        describedPackage("rebuilt", "1", { sha256: sha256("other") }),
        describedPackage("grew-up", "2", { architecture: "all" }),
      ],
    });
    assert.deepEqual(
      compareDescriptions(before, after).packages.map(({ name, kind }) => `${name} ${kind}`),
      ["came added", "falls downgraded", "gone removed", "grew-up upgraded", "rebuilt rebuilt", "rises upgraded"],
    );
  });
});

describe("files", () => {
  const differences = (before: readonly DescribedFile[], after: readonly DescribedFile[]) =>
    compareDescriptions(hashedDescription({ files: before }), hashedDescription({ files: after })).files;

  it("are told with their diff and the line that wrote them", () => {
    const [file] = differences(
      [describedText("/etc/a", "one\ntwo\n", "texts", 3)],
      [describedText("/etc/a", "one\n2\n", "texts", 4)],
    );
    assert.equal(file?.patch, "@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
    assert.deepEqual([file?.kind, file?.origin.by, file?.origin.where?.line], ["changed", "texts", 4]);
  });

  it("of the store that are made anew are one file that changed, told by the link in /etc", () => {
    const [old, now] = [
      describedStoreFile("sshd_config", "Port 22\n", "openssh"),
      describedStoreFile("sshd_config", "Port 23\n", "openssh"),
    ];
    const [file, ...more] = differences(
      [old, describedLink("/etc/ssh/sshd_config", old.path, "openssh")],
      [now, describedLink("/etc/ssh/sshd_config", now.path, "openssh")],
    );
    assert.equal(file?.path, "/etc/ssh/sshd_config");
    assert.equal(file?.patch, "@@ -1 +1 @@\n-Port 22\n+Port 23\n");
    assert.equal(file?.links.length, 1);
    assert.deepEqual(more, []);
  });

  it("of the store that come, go or cannot be told apart are told each", () => {
    const [a, b, c] = ["a\n", "b\n", "c\n"].map((text) => describedStoreFile("conf", text, "x"));
    assert.deepEqual(
      differences([a!, b!], [c!])
        .map(({ kind }) => kind)
        .sort(),
      ["added", "removed", "removed"],
    );
    const [added] = differences([], [a!, describedLink("/etc/conf", a!.path, "x")]);
    assert.deepEqual([added?.path, added?.kind, added?.links.length], ["/etc/conf", "added", 1]);
    const [one, other] = differences(
      [a!, describedLink("/etc/conf", a!.path, "x")],
      [a!, describedLink("/etc/conf", "/usr/share/conf", "x")],
    );
    assert.deepEqual(
      [one?.path, one?.attributes, other],
      ["/etc/conf", [`leads to ${a!.path} → /usr/share/conf`], undefined],
    );
  });

  it("that only name a file of the store anew say so", () => {
    const [old, now] = [describedStoreFile("run", "a\n", "x"), describedStoreFile("run", "b\n", "x")];
    const unit = (text: string) => describedText("/etc/systemd/system/x.service", text, "x");
    const follows = (before: string, after: string) =>
      differences([old, unit(before)], [now, unit(after)]).find(({ path }) => path.endsWith(".service"))?.follows;
    assert.deepEqual(follows(`ExecStart=${old.path}\n`, `ExecStart=${now.path}\n`), [now.path]);
    assert.equal(follows(`ExecStart=${old.path}\n`, `ExecStart=${now.path}\nUser=x\n`), undefined);
    assert.equal(follows("User=x\n", "User=y\n"), undefined);
  });

  it("tell modes, owners, kinds and contents that are not shown", () => {
    const file = describedText("/etc/a", "a\n");
    const hidden = (text: string): DescribedFile => {
      const { text: _, ...others } = describedText("/etc/a", text) as Extract<DescribedFile, { kind: "file" }>;
      return { ...others, mode: 0o600 };
    };
    const attributes = (a: DescribedFile, b: DescribedFile) => differences([a], [b])[0]?.attributes;
    assert.deepEqual(attributes(file, { ...file, mode: 0o4755 }), ["mode 0644 → 4755"]);
    assert.deepEqual(attributes(file, { ...file, group: "adm" }), ["owner root:root → root:adm"]);
    assert.deepEqual(attributes(file, describedLink("/etc/a", "b", "x")), ["kind file → symlink"]);
    assert.deepEqual(attributes(hidden("a\n"), hidden("bb\n")), ["contents 2 B → 3 B, not shown"]);
    assert.equal(differences([hidden("a\n")], [hidden("bb\n")])[0]?.patch, undefined);
    assert.deepEqual(differences([hidden("a\n")], [hidden("a\n")]), []);
  });
});

describe("services", () => {
  const system = (parts: Partial<SystemDescription>) =>
    hashedDescription({
      packages: [
        describedPackage("openssh-server", "1", {
          source: "openssh",
          depends: ["libssl3", "openssh-client", "passwd"],
        }),
        describedPackage("openssh-client", "1", { source: "openssh" }),
        describedPackage("libssl3", "1", { source: "openssl", depends: ["libc6"] }),
        describedPackage("libc6", "1", { source: "glibc" }),
        describedPackage("passwd", "1", { source: "shadow" }),
        describedPackage("systemd", "1"),
      ],
      wishes: [{ name: "openssh-server", origins: [{ by: "openssh" }] }],
      services: [{ by: "openssh", where: { file: "machine.ts", line: 9, column: 5 } }, { by: "journal" }],
      checks: [{ kind: "unit-active", name: "journal", unit: "systemd-journald.service", service: "journal" }],
      composed: { madePaths: [], unitPackages: { "systemd-journald.service": "systemd" } },
      ...parts,
    });
  const upgraded = (...names: string[]) => {
    const { packages } = system({});
    return packages.map((one) => (names.includes(one.name) ? { ...one, version: "2", sha256: sha256(one.name) } : one));
  };
  const reasons = (after: Partial<SystemDescription>, before: Partial<SystemDescription> = {}) =>
    compareDescriptions(system(before), system(after)).services;

  it("differ by their own packages, their libraries and what ships their units", () => {
    assert.deepEqual(reasons({ packages: upgraded("openssh-server") }), [
      {
        service: "openssh",
        kind: "changed",
        where: { file: "machine.ts", line: 9, column: 5 },
        reasons: [{ kind: "package", package: "openssh-server" }],
      },
    ]);
    assert.deepEqual(reasons({ packages: upgraded("libc6", "openssh-client") })[0]?.reasons, [
      { kind: "dependency", package: "libc6", of: "openssh-server" },
      { kind: "dependency", package: "openssh-client", of: "openssh-server" },
    ]);
    assert.deepEqual(
      reasons({ packages: upgraded("openssh-server", "openssh-client") })[0]?.reasons,
      [{ kind: "package", package: "openssh-server" }],
      "parts of one source are told once",
    );
    assert.deepEqual(reasons({ packages: upgraded("passwd") }), []);
    assert.deepEqual(
      reasons({ packages: upgraded("systemd") }).map(({ service }) => service),
      ["journal"],
    );
  });

  it("differ by configuration and units", () => {
    const written = [
      describedText("/etc/ssh/sshd_config", "Port 23\n", "openssh"),
      describedText("/etc/systemd/system/ssh.service.d/meso.conf", "[Unit]\n", "openssh"),
      describedText("/etc/motd", "Hi\n", "greetings"),
    ];
    assert.deepEqual(reasons({ files: written })[0]?.reasons, [
      { kind: "configuration", path: "/etc/ssh/sshd_config" },
      { kind: "unit", unit: "ssh.service" },
    ]);
    const units = [{ name: "ssh.socket", state: "enabled", origins: [{ by: "openssh" }] }] as const;
    assert.deepEqual(reasons({ units })[0]?.reasons, [{ kind: "unit", unit: "ssh.socket" }]);
  });

  it("differ by what a unit runs, not by its new name", () => {
    const [old, now] = [
      describedStoreFile("sshd_config", "a\n", "openssh"),
      describedStoreFile("sshd_config", "b\n", "openssh"),
    ];
    const files = (one: DescribedFile) => [
      one,
      describedText("/etc/systemd/system/ssh.service", `ExecStart=sshd -f ${one.path}\n`, "openssh"),
    ];
    assert.deepEqual(reasons({ files: files(now) }, { files: files(old) })[0]?.reasons, [
      { kind: "configuration", path: now.path },
    ]);
  });

  it("come and go", () => {
    const services = [{ by: "chrony" }, { by: "journal" }];
    assert.deepEqual(
      reasons({ services, hostName: "other" }).map(({ service, kind }) => `${service} ${kind}`),
      ["chrony added", "openssh removed"],
    );
  });
});

describe("settings", () => {
  it("are told in words", () => {
    const after = hashedDescription({
      hostName: "other",
      alternatives: { editor: "/usr/bin/vim.basic" },
      kernel: { ...emptyDescription.kernel, arguments: ["quiet"] },
    });
    const difference = compareDescriptions(hashedDescription({}), after);
    assert.deepEqual(difference.settings, [
      { title: "alternative editor", after: "/usr/bin/vim.basic" },
      { title: "host name", before: "test", after: "other" },
    ]);
    assert.deepEqual(difference.kernelArguments, { before: [], after: ["quiet"] });
  });

  it("tell what is built from source, and built anew", () => {
    const built = (hash: string, replaces: readonly string[]) =>
      hashedDescription({
        sourcePackages: [{ name: "pmix", version: "4.2.2", output: `/meso/store/${hash}-pmix`, replaces }],
      });
    const title = "pmix from source";
    const before = "4.2.2 at /meso/store/a-pmix, in place of libpmix2, libpmix-dev";
    const [old, anew] = [built("a", ["libpmix2", "libpmix-dev"]), built("b", [])];
    assert.deepEqual(compareDescriptions(old, anew).settings, [
      { title, before, after: "4.2.2 at /meso/store/b-pmix" },
    ]);
    assert.deepEqual(compareDescriptions(old, hashedDescription({})).settings, [{ title, before }]);
  });
});
