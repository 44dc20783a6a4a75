import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as openpgp from "openpgp";
import type { MesoError } from "../base/error.ts";
import { clearSign, makeKey, noise, releaseText, scratchFolder } from "./mirror-server.testing.ts";
import { parseRelease } from "./release.ts";
import { verifyInRelease } from "./release-signature.ts";

const hour = 3_600_000;
const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const ago = (hours: number) => new Date(now.getTime() - hours * hour);
const files = new Map([["main/binary-amd64/Packages", noise("packages", 100)]]);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "good",
    (error: MesoError) => error.code,
  );
}

/** What gpgv, as apt uses it, thinks of the same file. */
function gpgvAccepts(inRelease: string, keyring: string, folder: string): boolean {
  const file = join(folder, "InRelease.gpgv");
  writeFileSync(file, inRelease);
  return spawnSync("gpgv", ["--keyring", keyring, file]).status === 0;
}

test("a good signature gives the signed text; tampered and foreign ones are refused, as by gpgv", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(48));
  const other = await makeKey(join(folder.path, "other.gpg"), ago(48));
  const text = releaseText({ date: ago(2), files, more: "Description: - dashes\n  and  \n .  " });
  const good = await clearSign(text, key.privateKey, ago(1));
  const cases: [string, string, string][] = [
    ["good", good, key.keyring],
    ["bad-signature", good.replace("stable", "stablE"), key.keyring],
    ["bad-signature", good, other.keyring],
    ["bad-signature", good.replace(/\n-----BEGIN PGP SIGNATURE[\s\S]*$/, "\n"), key.keyring],
  ];
  for (const [expected, inRelease, keyring] of cases) {
    assert.equal(await codeOf(verifyInRelease(inRelease, [{ file: keyring }], { now })), expected);
    assert.equal(gpgvAccepts(inRelease, keyring, folder.path), expected === "good", `gpgv: ${expected}`);
  }
  // gpgv only remarks on signatures from the future; a clock that is wrong by days deserves more.
  const future = await clearSign(text, key.privateKey, new Date(now.getTime() + 48 * hour));
  assert.equal(await codeOf(verifyInRelease(future, [{ file: key.keyring }], { now })), "bad-signature");
  const release = await verifyInRelease(good, [{ file: other.keyring }, { file: key.keyring }], {
    now,
    suite: "trixie",
  });
  assert.deepEqual(release.files, parseRelease(text).files);
});

test("a key counts that was valid when it signed, not one that had expired", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(48));
  // The same key, as a keyring has it whose copy says that it ended a day ago.
  const { privateKey } = await openpgp.reformatKey({
    privateKey: key.privateKey,
    userIDs: [{ name: "Test archive" }],
    date: ago(48),
    keyExpirationTime: 24 * 3600,
    format: "object",
  });
  const ended = [{ armored: privateKey.toPublic().armor() }];
  const text = releaseText({ date: ago(47), files });
  const before = await clearSign(text, key.privateKey, ago(30));
  const after = await clearSign(text, key.privateKey, ago(3));
  assert.equal(await codeOf(verifyInRelease(before, ended, { now })), "good");
  assert.equal(await codeOf(verifyInRelease(after, ended, { now })), "bad-signature");
  assert.equal(await codeOf(verifyInRelease(after, [{ file: key.keyring }], { now })), "good");
});

test("nothing around or inside the signed part is taken for signed", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(48));
  const options = { now };
  const good = await clearSign(releaseText({ date: ago(2), files }), key.privateKey, ago(1));
  const evil = good.replace("stable", "hacked");
  const signature = good.slice(good.indexOf("-----BEGIN PGP SIGNATURE-----"));
  const hostile = {
    before: `Suite: hacked\n${good}`,
    "blank line before": `\n${good}`,
    after: `${good}Suite: hacked\n`,
    "two messages": evil + good,
    "two messages, good first": good + evil,
    "header smuggled": good.replace("Hash: SHA512\n", "Hash: SHA512\nSuite: hacked\n"),
    "no blank line": good.replace(/^(-----BEGIN[^\n]*\n)[\s\S]*?\n\n/, "$1"),
    "signature twice": good + signature,
    "line that looks like a frame": good.replace("Origin", "-----BEGIN PGP SIGNATURE-----\nOrigin"),
    carriage: good.replace("Suite", "Suite: hacked\rSuite"),
    empty: "",
    html: "<html>Log in to the network</html>",
    truncated: good.slice(0, good.length / 2),
    "only a frame":
      "-----BEGIN PGP SIGNED MESSAGE-----\n\n-----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----\n",
  };
  for (const [name, inRelease] of Object.entries(hostile)) {
    assert.notEqual(inRelease, good, name);
    assert.equal(await codeOf(verifyInRelease(inRelease, [{ file: key.keyring }], options)), "bad-signature", name);
  }
});

test("any cut of a signed file is refused", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(48));
  const good = await clearSign(releaseText({ date: ago(2), files }), key.privateKey, ago(1));
  for (let length = 0; length < good.trimEnd().length; length += 37) {
    const code = await codeOf(verifyInRelease(good.slice(0, length), [{ file: key.keyring }], { now }));
    assert.equal(code, "bad-signature", `cut at ${length}`);
  }
});

test("expiry, future dates and another suite are refused with their own codes", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(480));
  const keyrings = [{ file: key.keyring }];
  const sign = (parts: object, date = ago(1)) =>
    clearSign(releaseText({ date: ago(2), files, ...parts }), key.privateKey, date);
  const expired = await sign({ date: ago(200), validUntil: ago(3) }, ago(200));
  await assert.rejects(verifyInRelease(expired, keyrings, { now }), (error: MesoError) => {
    assert.equal(error.code, "expired-index");
    assert.match(error.message, new RegExp(ago(3).toISOString().slice(0, 16)));
    return true;
  });
  assert.equal(await codeOf(verifyInRelease(expired, keyrings, { now, acceptExpired: true })), "good");
  assert.equal(await codeOf(verifyInRelease(expired, keyrings, { now: ago(4) })), "good");
  const future = await sign({ date: new Date(now.getTime() + 48 * hour) });
  assert.equal(await codeOf(verifyInRelease(future, keyrings, { now })), "index-from-future");
  const plain = await sign({});
  for (const [suite, code] of [
    ["trixie", "good"],
    ["stable", "good"],
    ["bookworm", "wrong-suite"],
  ] as const) {
    assert.equal(await codeOf(verifyInRelease(plain, keyrings, { now, suite })), code);
  }
});

test("a keyring that is not one is named", async () => {
  using folder = scratchFolder();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(48));
  const good = await clearSign(releaseText({ date: ago(2), files }), key.privateKey, ago(1));
  writeFileSync(join(folder.path, "junk"), noise("junk", 500));
  assert.equal(await codeOf(verifyInRelease(good, [{ file: join(folder.path, "junk") }], { now })), "no-keyring");
  const armored = key.privateKey.toPublic().armor();
  assert.equal(await codeOf(verifyInRelease(good, [{ armored }], { now })), "good");
});

const hash = "0".repeat(64);
const base = `Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n`;
const malformed = {
  "no hashes": base,
  "climbing path": `${base}SHA256:\n ${hash} 1 ../../etc/passwd\n`,
  "absolute path": `${base}SHA256:\n ${hash} 1 /etc/passwd\n`,
  "path with an empty part": `${base}SHA256:\n ${hash} 1 main//Packages\n`,
  "hidden part": `${base}SHA256:\n ${hash} 1 main/.git/config\n`,
  "path with a query": `${base}SHA256:\n ${hash} 1 main/Packages?x\n`,
  "short hash": `${base}SHA256:\n ${hash.slice(1)} 1 main/Packages\n`,
  "negative size": `${base}SHA256:\n ${hash} -1 main/Packages\n`,
  "absurd size": `${base}SHA256:\n ${hash} 99999999999999999999 main/Packages\n`,
  "two contents of one path": `${base}SHA256:\n ${hash} 1 main/Packages\n ${"1".repeat(64)} 1 main/Packages\n`,
  "field twice": `${base}Suite: other\nSHA256:\n ${hash} 1 main/Packages\n`,
  "second paragraph": `${base}\nSHA256:\n ${hash} 1 main/Packages\n`,
  "no date": `Suite: stable\nSHA256:\n`,
  "date of another form": `Suite: stable\nDate: 2026-09-12\nSHA256:\n`,
  "no suite": `Date: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n`,
  "no field": ` continuation\n${base}`,
};
for (const [name, text] of Object.entries(malformed)) {
  test(`malformed Release: ${name}`, () => {
    assert.throws(
      () => parseRelease(text),
      (error: MesoError) => error.code === "malformed-release",
    );
  });
}

test("a Release file is read in full", () => {
  const text = `${base}Valid-Until: Wed, 25 Nov 2026 22:17:43 UTC\nAcquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nComponents: updates/main contrib\nArchitectures: all amd64\nMD5Sum:\n 00 1 x\nSHA256:\n ${hash}       12 main/binary-amd64/Packages.xz\n`;
  const release = parseRelease(text);
  assert.deepEqual(release, {
    suite: "stable",
    codename: "trixie",
    date: new Date("2026-09-12T07:55:41Z"),
    validUntil: new Date("2026-11-25T22:17:43Z"),
    components: ["main", "contrib"],
    architectures: ["all", "amd64"],
    acquireByHash: true,
    allInEachIndex: true,
    files: new Map([["main/binary-amd64/Packages.xz", { sha256: hash, size: 12 }]]),
  });
});

const lists = "/var/lib/apt/lists";
const keyring = ["gpg", "pgp"].map((e) => `/usr/share/keyrings/debian-archive-keyring.${e}`).find((f) => existsSync(f));
const real = existsSync(lists) ? readdirSync(lists).filter((name) => /debian.*_InRelease$/.test(name)) : [];

test("what Debian signed is accepted, and one changed byte is not", {
  skip: real.length === 0 || !keyring,
}, async () => {
  using folder = scratchFolder();
  for (const name of real) {
    const text = readFileSync(join(lists, name), "utf8");
    if (!gpgvAccepts(text, keyring!, folder.path)) continue;
    const codename = /^Codename: (\S+)$/m.exec(text)![1]!;
    const options = { now, suite: codename, acceptExpired: true };
    const release = await verifyInRelease(text, [{ file: keyring! }], options);
    assert.ok(release.files.size > 20);
    const tampered = text.replace(/^( [0-9a-f]{63})[0-9a-f]( +\d+ main\/binary-amd64\/Packages\.xz)$/m, "$1x$2");
    assert.notEqual(tampered, text);
    assert.equal(await codeOf(verifyInRelease(tampered, [{ file: keyring! }], options)), "bad-signature");
  }
});
