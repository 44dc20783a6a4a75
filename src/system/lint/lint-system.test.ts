import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readElf } from "../../base/elf.ts";
import type { TreeEntry } from "../../store/file-tree.ts";
import { generatedDirectory, generatedFile, generatedLink } from "../draft-tree.ts";
import { emptyManifest } from "../packages.testing.ts";
import { lintSystem } from "./lint-system.ts";

const program = readFileSync("/bin/sh");
const { needed } = readElf(program, "/bin/sh");

type Tree = Map<string, TreeEntry>;

const file = (content: string | Uint8Array, more: { mode?: number; uid?: number; gid?: number } = {}) =>
  generatedFile(content, { origin: "test", ...more });
const link = (target: string) => generatedLink(target, { origin: "test" });

/** A system without fault: each case spoils one thing of it. */
function soundSystem(): Tree {
  const service = "[Service]\nUser=daemon\nGroup=daemon\nExecStart=/usr/bin/program --here\n";
  return new Map<string, TreeEntry>([
    ["/", generatedDirectory({ origin: "test" })],
    ["/etc/passwd", file("root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n")],
    ["/etc/group", file("root:x:0:\ndaemon:x:1:\n")],
    ["/etc/alternatives/editor", link("/usr/bin/program")],
    ["/etc/link", link("passwd")],
    ["/etc/os-link", link("/run/later")],
    ["/etc/systemd/system/multi-user.target.wants/one.service", link("/usr/lib/systemd/system/one.service")],
    ["/usr/lib/systemd/system/one.service", file(service)],
    ["/usr/bin/program", file(program, { mode: 0o755 })],
    ...needed.map((name) => [`/usr/lib/x86_64-linux-gnu/${name}`, file("library")] as const),
    ["/usr/lib/x86_64-linux-gnu", generatedDirectory({ origin: "test" })],
    ["/usr/lib/modules/6.1/kernel/drivers/net/virtio_net.ko.xz", file("module")],
    ["/usr/lib/modules/6.1/modules.dep.bin", file("x".repeat(2000))],
    ["/usr/lib/modules/6.1/modules.alias.bin", file("x".repeat(2000))],
    ["/etc/ssl/public.pem", file("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n")],
  ]);
}

function findingsOf(tree: Tree) {
  const manifest = { ...emptyManifest, enabledUnits: [] };
  return lintSystem({
    tree,
    manifest,
    readFile: ({ content }) => (content.kind === "bytes" ? content.bytes : new Uint8Array()),
  }).map(({ check, severity, path = "" }) => `${severity} ${check} ${path}`.trim());
}

test("a sound system has nothing to tell", () => {
  assert.deepEqual(findingsOf(soundSystem()), []);
});

const unit = "/usr/lib/systemd/system/one.service";
const pem = (kind: string) => `-----BEGIN ${kind}-----\nAAAAAAAAAAAAAAAAAAAA\n-----END ${kind}-----\n`;

const faults: readonly (readonly [string, (tree: Tree) => unknown])[] = [
  ["error no-enabled-unit", (tree) => tree.delete("/etc/systemd/system/multi-user.target.wants/one.service")],
  [
    "error no-module-dependencies /usr/lib/modules/6.1/modules.dep",
    (tree) => tree.delete("/usr/lib/modules/6.1/modules.dep.bin"),
  ],
  [
    "error no-module-dependencies /usr/lib/modules/6.1/modules.dep",
    (tree) => tree.set("/usr/lib/modules/6.1/modules.alias.bin", file("")),
  ],
  ["warning dangling-link /etc/link", (tree) => tree.set("/etc/link", link("nowhere"))],
  ["warning dangling-link /etc/link", (tree) => tree.set("/etc/link", link("link"))],
  [
    "error missing-alternative /etc/alternatives/editor",
    (tree) => tree.set("/etc/alternatives/editor", link("/usr/bin/ed")),
  ],
  [
    "error missing-library /usr/bin/program",
    (tree) => {
      for (const name of needed) tree.delete(`/usr/lib/x86_64-linux-gnu/${name}`);
    },
  ],
  [`error unit-without-account ${unit}`, (tree) => tree.set(unit, file("[Service]\nUser=_absent\n"))],
  [`error unit-without-account ${unit}`, (tree) => tree.set(unit, file("[Service]\nGroup=_absent\n"))],
  [`error unit-without-program ${unit}`, (tree) => tree.set(unit, file("[Service]\nExecStart=/usr/bin/absent\n"))],
  ["error unknown-owner /etc/link", (tree) => tree.set("/etc/link", { ...link("passwd"), uid: 777 })],
  ["error unknown-owner /etc/x", (tree) => tree.set("/etc/x", file("x", { gid: 777 }))],
  ...["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"].map(
    (kind) => ["error private-key /etc/key", (tree: Tree) => tree.set("/etc/key", file(pem(kind)))] as const,
  ),
  ["note privileged-file /usr/bin/su", (tree) => tree.set("/usr/bin/su", file("su", { mode: 0o4755 }))],
];

for (const [finding, spoil] of faults) {
  test(`what fails silently is told: ${finding}`, () => {
    const tree = soundSystem();
    spoil(tree);
    assert.deepEqual([...new Set(findingsOf(tree))], [finding]);
  });
}

test("a unit whose account is made as it starts, or numbered, needs none", () => {
  for (const lines of ["User=_absent\nDynamicUser=yes", "User=_absent\nDynamicUser=true", "User=1234", "User=%i"]) {
    const tree = soundSystem().set(unit, file(`[Service]\n${lines}\n`));
    assert.deepEqual(findingsOf(tree), [], lines);
  }
});
