import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canonicalJson } from "../base/canonical.ts";
import { hashOf, sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { compareDescriptions } from "./compare-descriptions.ts";
import { describedPackage, describedText, emptyDescription } from "./system-description.testing.ts";
import type { DescribedFile, SystemDescription } from "./system-description.ts";
import { type Change, isEmptyDifference, type SystemDifference } from "./system-difference.ts";
import { unifiedDiff } from "./unified-diff.ts";

/** Gives a description the hash that its contents ask for. */
function hashed(parts: Partial<SystemDescription>): SystemDescription {
  const description = { ...emptyDescription, ...parts };
  return { ...description, systemHash: hashOf(plain(description)) };
}

/** Without what tells no two systems apart. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const foreign = ["origin", "origins", "systemHash", "services", "composed", "depends", "reason", "suite", "identity"];
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (foreign.includes(key) ? [] : [[key, plain(member)]])),
  );
}

const storeFile = (name: string, text: string, by: string): DescribedFile => ({
  ...describedText(`/meso/store/${sha256(text).slice(0, 32)}-${name}`, text, by, 7),
  mode: 0o444,
});
const link = (path: string, target: string, by: string): DescribedFile => ({
  kind: "symlink",
  path,
  target,
  mode: 0o777,
  user: "root",
  group: "root",
  origin: { by },
});

describe("packages", () => {
  it("come, go, rise, fall and are rebuilt", () => {
    const before = hashed({
      packages: [
        describedPackage("gone", "1"),
        describedPackage("rises", "1.9"),
        describedPackage("falls", "1:1"),
        describedPackage("same", "1"),
        describedPackage("rebuilt", "1"),
        describedPackage("grew-up", "1", { architecture: "amd64" }),
      ],
    });
    const after = hashed({
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
    compareDescriptions(hashed({ files: before }), hashed({ files: after })).files;

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
      storeFile("sshd_config", "Port 22\n", "openssh"),
      storeFile("sshd_config", "Port 23\n", "openssh"),
    ];
    const [file, ...more] = differences(
      [old, link("/etc/ssh/sshd_config", old.path, "openssh")],
      [now, link("/etc/ssh/sshd_config", now.path, "openssh")],
    );
    assert.equal(file?.path, "/etc/ssh/sshd_config");
    assert.equal(file?.patch, "@@ -1 +1 @@\n-Port 22\n+Port 23\n");
    assert.equal(file?.links.length, 1);
    assert.deepEqual(more, []);
  });

  it("of the store that come, go or cannot be told apart are told each", () => {
    const [a, b, c] = ["a\n", "b\n", "c\n"].map((text) => storeFile("conf", text, "x"));
    assert.deepEqual(
      differences([a!, b!], [c!])
        .map(({ kind }) => kind)
        .sort(),
      ["added", "removed", "removed"],
    );
    const [added] = differences([], [a!, link("/etc/conf", a!.path, "x")]);
    assert.deepEqual([added?.path, added?.kind, added?.links.length], ["/etc/conf", "added", 1]);
    const [one, other] = differences(
      [a!, link("/etc/conf", a!.path, "x")],
      [a!, link("/etc/conf", "/usr/share/conf", "x")],
    );
    assert.deepEqual(
      [one?.path, one?.attributes, other],
      ["/etc/conf", [`leads to ${a!.path} → /usr/share/conf`], undefined],
    );
  });

  it("that only name a file of the store anew say so", () => {
    const [old, now] = [storeFile("run", "a\n", "x"), storeFile("run", "b\n", "x")];
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
    assert.deepEqual(attributes(file, link("/etc/a", "b", "x")), ["kind file → symlink"]);
    assert.deepEqual(attributes(hidden("a\n"), hidden("bb\n")), ["contents 2 B → 3 B, not shown"]);
    assert.equal(differences([hidden("a\n")], [hidden("bb\n")])[0]?.patch, undefined);
    assert.deepEqual(differences([hidden("a\n")], [hidden("a\n")]), []);
  });
});

describe("services", () => {
  const system = (parts: Partial<SystemDescription>) =>
    hashed({
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
    const [old, now] = [storeFile("sshd_config", "a\n", "openssh"), storeFile("sshd_config", "b\n", "openssh")];
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
    const after = hashed({
      hostName: "other",
      alternatives: { editor: "/usr/bin/vim.basic" },
      kernel: { ...emptyDescription.kernel, arguments: ["quiet"] },
    });
    const difference = compareDescriptions(hashed({}), after);
    assert.deepEqual(difference.settings, [
      { title: "alternative editor", after: "/usr/bin/vim.basic" },
      { title: "host name", before: "test", after: "other" },
    ]);
    assert.deepEqual(difference.kernelArguments, { before: [], after: ["quiet"] });
  });

  it("tell what is built from source, and built anew", () => {
    const built = (hash: string, replaces: readonly string[]) =>
      hashed({ sourcePackages: [{ name: "pmix", version: "4.2.2", output: `/meso/store/${hash}-pmix`, replaces }] });
    const title = "pmix from source";
    const before = "4.2.2 at /meso/store/a-pmix, in place of libpmix2, libpmix-dev";
    const [old, anew] = [built("a", ["libpmix2", "libpmix-dev"]), built("b", [])];
    assert.deepEqual(compareDescriptions(old, anew).settings, [
      { title, before, after: "4.2.2 at /meso/store/b-pmix" },
    ]);
    assert.deepEqual(compareDescriptions(old, hashed({})).settings, [{ title, before }]);
  });
});

describe("any two systems", () => {
  const origin = fc.record({ by: fc.constantFrom("x", "y") });
  const few = <T>(item: fc.Arbitrary<T>, key: (item: T) => string) =>
    fc.uniqueArray(item, { maxLength: 5, selector: key }).map((items) => sortedBy(items, key));
  const aPackage = fc
    .tuple(fc.constantFrom("a", "b", "libc"), fc.constantFrom("1", "2", "1:0"), fc.constantFrom("root", "boot"))
    .map(([name, version, part]) => describedPackage(name, version, { part: part as "root" | "boot" }));
  const text = fc.array(fc.constantFrom("one\n", "two\n", "three\n"), { maxLength: 4 }).map((lines) => lines.join(""));
  const aFile: fc.Arbitrary<DescribedFile> = fc.oneof(
    fc
      .tuple(fc.constantFrom("/etc/a", "/etc/b", "/etc/c"), text, fc.constantFrom(0o644, 0o755))
      .map(([path, contents, mode]) => ({ ...describedText(path, contents), mode })),
    fc.tuple(fc.constantFrom("conf", "script"), text, fc.constantFrom("x", "y")).map((given) => storeFile(...given)),
    fc
      .tuple(fc.constantFrom("/etc/a", "/etc/l", "/etc/m"), text)
      .map(([path, contents]) => link(path, storeFile("conf", contents, "x").path, "x")),
  );
  const aUser = fc.record({
    name: fc.constantFrom("bob", "eve"),
    uid: fc.constantFrom(1000, 1001),
    group: fc.constant("users"),
    supplementaryGroups: fc.constantFrom([], ["adm"]),
    comment: fc.constant(""),
    home: fc.constant("/home"),
    createHome: fc.boolean(),
    shell: fc.constant("/bin/sh"),
    password: fc.constantFrom("locked", "none"),
    system: fc.boolean(),
    origin,
  });
  const description = fc
    .record({
      hostName: fc.constantFrom("a", "b"),
      packages: few(aPackage, ({ name, part }) => `${name} ${part}`),
      files: few(aFile, ({ path }) => path),
      users: few(aUser, ({ name }) => name),
      groups: few(
        fc.record({ name: fc.constantFrom("g", "h"), gid: fc.nat(2), system: fc.boolean(), origin }),
        (one) => one.name,
      ),
      units: few(
        fc.record({
          name: fc.constantFrom("a.service", "b.timer"),
          state: fc.constantFrom("enabled" as const, "masked" as const),
          origins: fc.constant([{ by: "x" }]),
        }),
        ({ name }) => name,
      ),
      // In the one order that a system has them in.
      checks: fc
        .array(
          fc.record({
            kind: fc.constant("unit-active" as const),
            name: fc.constant("is active"),
            service: fc.constantFrom("x", "y"),
            unit: fc.constantFrom("a.service", "b.service"),
          }),
          { maxLength: 3 },
        )
        .map((some) => sortedBy(some, canonicalJson)),
      wishes: few(fc.record({ name: fc.constantFrom("a", "b", "c"), origins: fc.constant([]) }), ({ name }) => name),
      sourcePackages: few(
        fc.record({
          name: fc.constantFrom("p", "q"),
          version: fc.constantFrom("1", "2"),
          output: fc.constantFrom("/meso/store/a-p", "/meso/store/b-p"),
          replaces: fc.subarray(["libp", "libq"]),
        }),
        ({ name }) => name,
      ),
      accountNumbers: fc.dictionary(fc.constantFrom("svc"), fc.nat(3)),
      alternatives: fc.dictionary(fc.constantFrom("editor", "pager"), fc.constantFrom("/a", "/b")),
      kernel: fc.record({
        package: fc.constantFrom("k1", "k2"),
        arguments: fc.array(fc.constantFrom("quiet", "ro"), { maxLength: 2 }),
        initrdModules: fc.constant([]),
      }),
    })
    .map(hashed);

  const applied = <T>(items: readonly T[], changes: readonly Change<T>[]): T[] => {
    const left = items.map((item) => canonicalJson(plain(item)));
    for (const { before } of changes) {
      if (before === undefined) continue;
      const at = left.indexOf(canonicalJson(plain(before)));
      assert.ok(at >= 0, "what went, or was another, was there");
      left.splice(at, 1);
    }
    const came = changes.flatMap(({ after }) => (after === undefined ? [] : [canonicalJson(plain(after))]));
    return [...left, ...came].sort().map((one) => JSON.parse(one) as T);
  };
  const same = <T>(name: string, before: readonly T[], after: readonly T[], changes: readonly Change<T>[]) => {
    const expected = after.map((one) => canonicalJson(plain(one))).sort();
    assert.deepEqual(
      applied(before, changes).map((one) => canonicalJson(one)),
      expected,
      name,
    );
  };
  const lists = ["packages", "users", "groups", "units", "checks"] as const;

  /** Differs from `one` in a single field: what is not looked at would not be missed among other changes. */
  const nearTo = (one: SystemDescription, other: SystemDescription, field: keyof SystemDescription) =>
    hashed({ ...one, [field]: other[field] });
  const fields = [
    "kernel",
    "hostName",
    "accountNumbers",
    "alternatives",
    "checks",
    "wishes",
    "sourcePackages",
    ...lists,
  ] as const;
  const pair = fc.oneof(
    fc.tuple(description, description),
    fc
      .tuple(description, description, fc.constantFrom(...fields))
      .map(([one, other, field]) => [one, nearTo(one, other, field)]),
  );

  it("what is told makes the second of the first", () => {
    fc.assert(
      fc.property(pair, ([before, after]) => {
        assert.ok(before && after);
        const difference: SystemDifference = compareDescriptions(before, after);
        for (const list of lists) {
          same<unknown>(list, before[list], after[list], difference[list]);
        }
        same(
          "files",
          before.files,
          after.files,
          difference.files.flatMap((one) => [one, ...one.links]),
        );
        const wishes = [before, after].map((one) => one.wishes.map(({ name }) => name)) as [string[], string[]];
        same("wishes", ...wishes, difference.wishes);
        assert.deepEqual(difference.kernelArguments?.after ?? before.kernel.arguments, after.kernel.arguments);
        for (const { patch, before: was, after: is } of difference.files) {
          if (patch === undefined) continue;
          const texts = [was, is].map((file) => (file?.kind === "file" ? file.text! : ""));
          assert.equal(patch, unifiedDiff(texts[0]!, texts[1]!));
        }
        assert.equal(isEmptyDifference(difference), before.systemHash === after.systemHash);
        const back = compareDescriptions(after, before);
        for (const list of lists) assert.equal(back[list].length, difference[list].length);
        assert.equal(back.settings.length, difference.settings.length);
      }),
      { numRuns: 2000 },
    );
  });

  it("nothing is told between two of one hash, wherever they are written", () => {
    fc.assert(
      fc.property(description, (system) => {
        const elsewhere = {
          ...system,
          files: system.files.map((file) => ({ ...file, origin: { by: "elsewhere" } })),
          services: [{ by: "elsewhere" }],
        };
        const difference = compareDescriptions(system, elsewhere);
        assert.ok(isEmptyDifference(difference) && difference.services.length === 0);
      }),
    );
  });
});
