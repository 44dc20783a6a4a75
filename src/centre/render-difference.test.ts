import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../base/hash.ts";
import { compareDescriptions } from "./compare-descriptions.ts";
import type { PathExplanation } from "./explain-path.ts";
import type { PackageNews } from "./package-news.ts";
import { renderDifference } from "./render-difference.ts";
import { renderExplanation } from "./render-explanation.ts";
import { describedPackage, describedText, emptyDescription } from "./system-description.testing.ts";
import type { SystemDescription } from "./system-description.ts";

const ssl = (version: string) => [
  describedPackage("libssl3", version, { source: "openssl" }),
  describedPackage("openssl", version, { depends: ["libssl3"] }),
];
const before: SystemDescription = {
  ...emptyDescription,
  packages: [...ssl("3-1"), describedPackage("nano", "8"), describedPackage("busybox-static", "1", { part: "boot" })],
  wishes: [{ name: "openssl", origins: [{ by: "tls" }] }],
  files: [
    describedText("/etc/tls.conf", "min = 1.2\nlog = no\n", "tls", 8),
    describedText("/etc/old", "x\n", "old", 2),
  ],
  services: [{ by: "tls", where: { file: "machine.ts", line: 8, column: 5 } }],
  units: [{ name: "tls.service", state: "enabled", origins: [{ by: "tls" }] }],
  kernel: { ...emptyDescription.kernel, arguments: ["console=ttyS0", "quiet"] },
};
const bob = {
  name: "bob",
  uid: 2000,
  group: "users",
  supplementaryGroups: ["adm"],
  comment: "Bob",
  home: "/home/bob",
  createHome: true,
  shell: "/bin/bash",
  password: "locked",
  system: false,
  origin: { by: "login" },
};
const after: SystemDescription = {
  ...before,
  systemHash: sha256("after"),
  packages: [
    ...ssl("3-1+deb13u1"),
    describedPackage("vim", "9"),
    describedPackage("busybox-static", "2", { part: "boot" }),
  ],
  wishes: [...before.wishes, { name: "vim", origins: [] }],
  files: [
    { ...describedText("/etc/tls.conf", "min = 1.3\nlog = no\n", "tls", 9), mode: 0o640 },
    describedText("/etc/new", "\u001b[2Jy\n", "new", 3),
  ],
  users: [bob],
  units: [{ name: "tls.service", state: "masked", origins: [{ by: "tls" }] }],
  kernel: { ...emptyDescription.kernel, arguments: ["console=ttyS0", "panic=10"] },
};
const news: PackageNews[] = [
  {
    source: "openssl",
    before: "3-1",
    after: "3-1+deb13u1",
    direction: "brings",
    packages: ["libssl3", "openssl"],
    entries: [
      {
        version: "3-1+deb13u1",
        distribution: "trixie-security",
        urgency: "high",
        date: "Sat, 12 Sep 2026 07:55:41 +0000",
        cves: ["CVE-2026-1001"],
        changes: "  * CVE-2026-1001: mended",
      },
    ],
    cves: ["CVE-2026-1001"],
    omitted: 3,
  },
];

test("a difference reads from what matters to what does not", () => {
  const lines = renderDifference(compareDescriptions(before, after), news);
  assert.deepEqual(lines, [
    "5 packages (1 CVE mended), 3 files, 1 account, 1 unit, kernel arguments, services: tls",
    "services:",
    "  ~ tls (machine.ts:8:5): package openssl, configuration /etc/tls.conf, unit tls.service",
    "packages:",
    "  ↑ busybox-static 1 → 2 (in the boot path)",
    "  ↑ libssl3, openssl 3-1 → 3-1+deb13u1",
    "      mends (urgency high): CVE-2026-1001",
    "  - nano 8",
    "  + vim 9",
    "files:",
    "  + /etc/new  (new, machine.ts:3:3)",
    "  - /etc/old  (old, machine.ts:2:3)",
    "  ~ /etc/tls.conf: mode 0644 → 0640  (tls, machine.ts:9:3)",
    "  @@ -1,2 +1,2 @@",
    "  -min = 1.2",
    "  +min = 1.3",
    "   log = no",
    "accounts:",
    "  + user bob (number 2000, group users, more groups adm, comment Bob, home /home/bob, shell /bin/bash, password locked)",
    "units:",
    "  ~ tls.service: enabled → masked  (tls)",
    "kernel arguments:",
    "  - quiet",
    "  + panic=10",
    "settings:",
    "  asked for by name: vim",
  ]);
});

test("more of it is told when asked for, and nothing in it is obeyed by a terminal", () => {
  const lines = renderDifference(compareDescriptions(before, after), news, { verbose: true });
  assert.ok(lines.includes("      3-1+deb13u1 (trixie-security; urgency high) Sat, 12 Sep 2026 07:55:41 +0000"));
  assert.ok(lines.includes("        * CVE-2026-1001: mended"));
  assert.ok(lines.includes("      … and 3 older"));
  assert.ok(lines.includes("  +^[[2Jy"));
});

test("the way back tells what is open again; many numbers are counted", () => {
  const cves = Array.from({ length: 20 }, (_, i) => `CVE-2026-${1000 + i}`);
  const back: PackageNews[] = [
    { ...news[0]!, before: "3-1+deb13u1", after: "3-1", direction: "loses", entries: [], cves },
  ];
  const lines = renderDifference(compareDescriptions(after, before), back);
  assert.match(lines[0]!, /20 CVEs open again/);
  assert.ok(lines.includes("  ↓ libssl3, openssl 3-1+deb13u1 → 3-1"));
  assert.ok(lines.some((line) => line.startsWith("      opens again: CVE-2026-1000, ")));
  assert.ok(lines.some((line) => line.endsWith("and 8 more")));
  assert.ok(lines.every((line) => line.length < 130));
});

test("news of a package that comes in another's place stand behind it", () => {
  const image = (version: string) => describedPackage(`image-${version}`, version, { source: "openssl" });
  const one = { ...emptyDescription, packages: [image("3-1")] };
  const other = { ...emptyDescription, systemHash: sha256("other"), packages: [image("3-1+deb13u1")] };
  assert.deepEqual(renderDifference(compareDescriptions(one, other), news), [
    "2 packages (1 CVE mended)",
    "packages:",
    "  - image-3-1 3-1",
    "  + image-3-1+deb13u1 3-1+deb13u1",
    "      mends (urgency high): CVE-2026-1001",
  ]);
});

test("what cannot be known is said, and nothing where nothing changes", () => {
  const unknown = [{ ...news[0]!, entries: [], cves: [], omitted: 0, unknown: "the mirror has it no more" }];
  const lines = renderDifference(compareDescriptions(before, after), unknown);
  assert.ok(lines.includes("      its changelog is unknown: the mirror has it no more"));
  assert.deepEqual(renderDifference(compareDescriptions(before, before), []), ["nothing changes"]);
});

test("the order of the kernel's arguments means something", () => {
  const turned = {
    ...before,
    systemHash: sha256("turned"),
    kernel: { ...before.kernel, arguments: ["quiet", "console=ttyS0"] },
  };
  assert.deepEqual(renderDifference(compareDescriptions(before, turned), []), [
    "kernel arguments",
    "kernel arguments:",
    "  their order: quiet console=ttyS0",
  ]);
});

test("an explanation reads from the path to what asked for it", () => {
  const where = { file: "machine.ts", line: 9, column: 5 };
  const explanation: PathExplanation = {
    path: "/lib/libssl.so.3",
    nearest: [],
    steps: [
      {
        path: "/lib",
        kind: "symlink",
        target: "usr/lib",
        maker: { kind: "step", step: "system", how: "part of every system", origins: [] },
      },
      {
        path: "/usr/lib/libssl.so.3",
        kind: "file",
        maker: {
          kind: "package",
          package: "libssl3",
          version: "3-1",
          source: "openssl",
          others: 0,
          because: [
            { package: "libssl3" },
            { package: "openssh-server", relation: "libssl3 (>= 3)", origins: [{ by: "openssh", where }] },
          ],
        },
      },
      { path: "/etc/x", kind: "file", maker: { kind: "service", origin: { by: "x", where } } },
    ],
  };
  assert.deepEqual(renderExplanation(explanation), [
    "/lib → usr/lib",
    "  system: part of every system",
    "/usr/lib/libssl.so.3",
    "  package libssl3 3-1 (source openssl)",
    "  needed by openssh-server: libssl3 (>= 3)",
    "  openssh-server is asked for by openssh (machine.ts:9:5)",
    "/etc/x",
    "  service x (machine.ts:9:5)",
  ]);
  assert.deepEqual(renderExplanation({ path: "/run/x", steps: [], nearest: ["/run"], remark: "made at run time" }), [
    "/run/x is not in the system",
    "  made at run time",
    "  did you mean:",
    "    /run",
  ]);
});
