import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MesoError } from "../base/error.ts";
import { type AccountSources, mergeAccounts } from "./accounts-merge.ts";
import type { ManifestUser } from "./manifest.ts";

const numbers: Record<string, number> = { _daemon: 150, "systemd-x": 151, wheel: 160, crontab: 161 };

const person: ManifestUser = {
  name: "ada",
  uid: 1000,
  group: "ada",
  supplementaryGroups: ["wheel", "adm"],
  comment: "Ada",
  home: "/home/ada",
  createHome: true,
  shell: "/bin/bash",
  passwordHash: "$6$x$y",
  system: false,
  origin: { by: "users" },
};

const sources: AccountSources = {
  passwdMaster: "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  groupMaster: "root:*:0:\nadm:*:4:\nshadow:*:42:\nnogroup:*:65534:\n",
  sysusers: [
    {
      origin: "x.conf",
      text: '# comment\ng crontab -\nu systemd-x - "X, the daemon" /run/x\nu sshd -:nogroup\nm _daemon adm\n',
    },
  ],
  packages: [
    { origin: "daemon", groups: ["wheel"], users: [{ name: "_daemon", home: "/var/lib/daemon", comment: "D" }] },
    { origin: "again", groups: [], users: [{ name: "_daemon", home: "/elsewhere" }] },
  ],
  users: [person],
  groups: [{ name: "ada", gid: 1000, system: false, origin: { by: "groups" } }],
  numberOf: (_, name) => numbers[name] ?? (name === "sshd" ? 152 : undefined),
};

function codes(changes: Partial<AccountSources>): string[] {
  try {
    mergeAccounts({ ...sources, ...changes });
    return [];
  } catch (error) {
    assert.ok(error instanceof MesoError, String(error));
    return error.problems.map(({ code }) => code);
  }
}

describe("merging accounts", () => {
  it("writes files that pwck and grpck find no fault with", () => {
    const folder = mkdtempSync(join(tmpdir(), "accounts-"));
    try {
      const { files } = mergeAccounts(sources);
      for (const [path, { text }] of files) writeFileSync(join(folder, path.slice("/etc/".length)), text);
      const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
      execFileSync("pwck", ["-rq", join(folder, "passwd"), join(folder, "shadow")], { env: environment });
      const { stdout } = spawnSync("grpck", ["-r", join(folder, "group"), join(folder, "gshadow")], {
        env: environment,
        encoding: "utf8",
      });
      // grpck looks members up in this machine's accounts, not in the files beside.
      const faults = stdout
        .split("\n")
        .filter((line) => !/^$|no user (_daemon|ada)$|^delete member|no changes$/.test(line));
      assert.deepEqual(faults, []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("brings all sources together", () => {
    const { files, uidOf, gidOf } = mergeAccounts(sources);
    const text = (name: string) => files.get(`/etc/${name}`)!.text;
    assert.match(text("passwd"), /^_daemon:x:150:150:D:\/var\/lib\/daemon:\/usr\/sbin\/nologin$/m);
    assert.match(text("passwd"), /^systemd-x:x:151:151:X, the daemon:\/run\/x:/m);
    assert.match(text("passwd"), /^sshd:x:152:65534:/m);
    assert.match(text("group"), /^adm:x:4:_daemon,ada$/m);
    assert.match(text("group"), /^wheel:x:160:ada$/m);
    assert.match(text("shadow"), /^ada:\$6\$x\$y::/m);
    assert.match(text("subuid"), /^ada:100000:65536$/m);
    assert.equal(uidOf("_daemon"), 150);
    assert.equal(gidOf("12"), 12);
    assert.equal(uidOf("nobody-knows"), undefined);
  });

  it("does not depend on the order of packages", () => {
    const turned = mergeAccounts({ ...sources, packages: sources.packages.toReversed() });
    assert.equal(turned.files.get("/etc/group")?.text, mergeAccounts(sources).files.get("/etc/group")?.text);
    assert.equal(turned.uidOf("_daemon"), 150);
  });

  it("refuses collisions, accounts without number and groups that nobody makes", () => {
    assert.deepEqual(codes({}), []);
    assert.deepEqual(
      codes({ numberOf: (kind, name) => (name === "crontab" ? undefined : sources.numberOf(kind, name)) }),
      ["unnumbered-account"],
    );
    assert.deepEqual(codes({ numberOf: (kind, name) => (name === "crontab" ? 160 : sources.numberOf(kind, name)) }), [
      "account-collision",
    ]);
    assert.deepEqual(codes({ users: [{ ...person, supplementaryGroups: ["nobody-makes-it"] }] }), ["unknown-group"]);
  });
});
