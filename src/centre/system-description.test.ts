import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { MesoError } from "../base/error.ts";
import { prepareSystem } from "../build/prepare.ts";
import {
  etcFile,
  etcFiles,
  fileSystem,
  inherit,
  label,
  operatingSystem,
  simpleService,
  userAccount,
} from "../index.ts";
import { debianSource, meson, sourcePackage } from "../packages/index.ts";
import { openssh } from "../services/index.ts";
import { testSession } from "../test-support/test-session.ts";
import { describeSystem } from "./describe-system.ts";
import { describedPackage, describedText, emptyDescription } from "./system-description.testing.ts";
import type { SystemDescription } from "./system-description.ts";
import { decodeDescription, encodeDescription } from "./system-description-file.ts";

const session = testSession();
const here = dirname(fileURLToPath(import.meta.url));
const hash = "$6$rounds=1000$saltsalt$abcdefghijklmnopqrstuvwxyz";
const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
const base = operatingSystem({
  hostName: "described",
  fileSystems: [fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" })],
});
const system = inherit(base, (os) => ({
  users: [userAccount({ name: "bob", uid: 2000, passwordHash: hash })],
  services: [
    ...os.services,
    openssh(),
    simpleService("texts", etcFiles, [
      etcFile("/etc/plain", "one\ntwo\n"),
      etcFile("/etc/private", "for root alone\n", { mode: 0o600 }),
      etcFile("/etc/key", key),
      etcFile("/etc/control", "a\u0001b"),
      etcFile("/etc/large", "x".repeat(200_000)),
    ]),
  ],
}));

let described: Promise<SystemDescription> | undefined;
const description = (): Promise<SystemDescription> => {
  described ??= prepareSystem(session, system).then((prepared) => describeSystem(prepared, { folder: here }));
  return described;
};

test("packages are told with source package and version, and why they are there", async () => {
  const { packages } = await description();
  const named = (name: string) => packages.find((one) => one.name === name && one.part === "root")!;
  assert.equal(named("openssh-server").source, "openssh");
  assert.equal(named("openssh-server").reason, "wished");
  assert.equal(named("libc6").source, "glibc");
  assert.equal(typeof named("libc6").reason, "object");
  assert.ok(named("openssh-server").depends.includes("libc6"));
  const kernel = packages.find(({ name }) => /^linux-image-6/.test(name))!;
  assert.equal(kernel.source, "linux-signed-amd64");
  assert.notEqual(kernel.sourceVersion, kernel.version);
  assert.ok(packages.some(({ name, part }) => name === "busybox-static" && part === "boot"));
  assert.ok(packages.some(({ name, part }) => name === "grub-pc-bin" && part === "tools"));
});

test("what is built from source is told with its place, and what it stands for", async () => {
  assert.equal((await description()).sourcePackages, undefined);
  const library = sourcePackage({
    ...{ name: "inih", version: "59", buildSystem: meson(), replaces: ["libinih1"] },
    source: ({ version }) => debianSource("libinih", { version }),
  });
  const prepared = await prepareSystem(session, inherit(base, { packages: ["xfsprogs"], sourcePackages: [library] }));
  const { sourcePackages } = await describeSystem(prepared, { folder: here });
  const output = prepared.sources[0]!.output;
  assert.match(output, /-inih-59$/);
  assert.deepEqual(sourcePackages, [{ name: "inih", version: "59", output, replaces: ["libinih1"] }]);
});

test("places are relative to the program, and those of this project's own services bear its name", async () => {
  const { files, services, units } = await description();
  const placeOf = (path: string) => files.find((one) => one.path === path)?.origin.where?.file;
  assert.equal(placeOf("/etc/plain"), "system-description.test.ts");
  assert.match(placeOf("/etc/pam.d/login")!, /^mesoforge\/src\/services\//);
  assert.ok(services.some(({ by, where }) => by === "openssh" && where?.file === "system-description.test.ts"));
  assert.ok(!services.some(({ by }) => by.startsWith("essential-")));
  assert.deepEqual(
    units.find(({ name }) => name === "ssh.service")?.origins.map(({ by }) => by),
    ["openssh"],
  );
  const seenFromAbove = await describeSystem(await prepareSystem(session, system), { folder: dirname(here) });
  const plain = seenFromAbove.files.find(({ path }) => path === "/etc/plain");
  assert.equal(plain?.origin.where?.file, join("centre", "system-description.test.ts"));
  assert.ok(!JSON.stringify(await description()).includes(here));
});

test("what is secret, or nobody's to read, is told by its digest alone", async () => {
  const { files, users } = await description();
  const textOf = (path: string) => {
    const file = files.find((one) => one.path === path);
    assert.ok(file?.kind === "file" && /^[0-9a-f]{64}$/.test(file.sha256));
    return file.text;
  };
  assert.equal(textOf("/etc/plain"), "one\ntwo\n");
  for (const path of ["/etc/private", "/etc/key", "/etc/control", "/etc/large"]) {
    assert.equal(textOf(path), undefined, path);
  }
  const bob = users.find(({ name }) => name === "bob")!;
  assert.match(bob.password, /^[0-9a-f]{16}$/);
  const text = JSON.stringify(await description());
  for (const secret of [hash, "saltsalt", "b3BlbnNzaC1rZXk", "for root alone"]) assert.ok(!text.includes(secret));
});

test("a description is read as it was written; its head tells nothing of the host", async () => {
  const bytes = encodeDescription(await description());
  assert.deepEqual(decodeDescription(bytes, "test"), await description());
  assert.deepEqual(encodeDescription(await description()), bytes);
  assert.deepEqual([...bytes.subarray(0, 10)], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
});

const whole: SystemDescription = {
  ...emptyDescription,
  packages: [describedPackage("a", "1")],
  sourcePackages: [{ name: "b", version: "2", output: "/meso/store/x-b-2", replaces: ["libb2"] }],
  files: [describedText("/etc/a", "a\n")],
  units: [{ name: "a.service", state: "enabled", origins: [{ by: "a" }] }],
  composed: {
    madePaths: [{ path: "/a", kind: "symlink", target: "b", origin: "x" }],
    unitPackages: { "a.service": "a" },
  },
};
const packed = (value: unknown): Uint8Array => gzipSync(JSON.stringify(value));
const refuses = (bytes: Uint8Array, code: string): MesoError => {
  let thrown: unknown;
  try {
    decodeDescription(bytes, "the description of x");
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof MesoError, "it is refused, with a message");
  assert.equal(thrown.code, code);
  assert.equal(thrown.problems.length, 1);
  return thrown;
};

test("a description cut anywhere is refused", () => {
  const bytes = encodeDescription(whole);
  assert.deepEqual(decodeDescription(bytes, "x"), whole);
  for (let length = 0; length < bytes.length; length++) refuses(bytes.subarray(0, length), "bad-description");
});

test("a description with any bit turned is refused or harmless", () => {
  const bytes = encodeDescription(whole);
  for (let bit = 0; bit < bytes.length * 8; bit += 3) {
    const turned = Uint8Array.from(bytes);
    turned[bit >> 3]! ^= 1 << (bit & 7);
    try {
      assert.deepEqual(decodeDescription(turned, "x"), whole, "only bits of the head may be lost unseen");
    } catch (error) {
      assert.ok(error instanceof MesoError && error.code === "bad-description", String(error));
    }
  }
});

test("hostile descriptions are refused with their field named", () => {
  refuses(packed({ ...whole, formatVersion: 2 }), "description-version");
  refuses(gzipSync(Buffer.alloc(200 * 2 ** 20)), "bad-description");
  refuses(Buffer.alloc(17 * 2 ** 20), "bad-description");
  refuses(gzipSync("[".repeat(1_000_000)), "bad-description");
  refuses(gzipSync(Buffer.from([0xff, 0xfe])), "bad-description");
  refuses(packed(null), "bad-description");
  const fieldOf = (value: unknown) => refuses(packed(value), "bad-description").problems[0]!.field;
  const withFile = (more: object) => fieldOf({ ...whole, files: [{ ...whole.files[0], ...more }] });
  const withPackage = (more: object) => fieldOf({ ...whole, packages: [{ ...whole.packages[0], ...more }] });
  assert.equal(withFile({ path: "etc/a" }), "files[0].path");
  assert.equal(withFile({ kind: "socket" }), "files[0]");
  assert.equal(withFile({ mode: -1 }), "files[0].mode");
  assert.equal(withPackage({ filename: "pool/../../x.deb" }), "packages[0].filename");
  assert.equal(withPackage({ filename: "../x.deb" }), "packages[0].filename");
  assert.equal(withPackage({ sha256: "../.." }), "packages[0].sha256");
  assert.equal(withPackage({ reason: { dependencyOf: 1 } }), "packages[0].reason");
  const withSource = (more: object) =>
    fieldOf({ ...whole, sourcePackages: [{ ...whole.sourcePackages![0], ...more }] });
  assert.equal(withSource({ output: "x" }), "sourcePackages[0].output");
  assert.equal(withSource({ replaces: "x" }), "sourcePackages[0].replaces");
  assert.equal(fieldOf({ ...whole, extra: 1 }), undefined);
});
