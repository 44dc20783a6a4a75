import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import type { MesoError } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import type { LockedSuite } from "./channel-lock.ts";
import { channelIdentity, formatLock, parseLock, withSuites } from "./channel-lock.ts";
import type { ChannelRequest } from "./indices.ts";
import { ensureIndices, indexTextFile, readIndex, suitesOf } from "./indices.ts";
import type { Archive } from "./mirror.ts";
import type { ReleaseParts, TestKey } from "./mirror-server.testing.ts";
import {
  clearSign,
  makeKey,
  mirrorsAt,
  releaseText,
  scratchFolder,
  startMirror,
  writeAt,
} from "./mirror-server.testing.ts";
import { pullChannel } from "./pull.ts";

const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const ago = (hours: number) => new Date(now.getTime() - hours * 3_600_000);
const packages = (name: string) => Buffer.from(`Package: ${name}\nVersion: 1\nDescription: é\n\n`.repeat(50));
const xz = (data: Buffer) => execFileSync("xz", ["-c"], { input: data });
const request: ChannelRequest = {
  suite: "trixie",
  components: ["main"],
  architectures: ["amd64"],
  updates: false,
  security: false,
};

/** Every index in every form, as an archive has them before it chooses which to publish. */
function allForms(name: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const component of ["main", "contrib"]) {
    for (const architecture of ["amd64", "arm64", "all"]) {
      const text = packages(`${name}-${component}-${architecture}`);
      const path = `${component}/binary-${architecture}/Packages`;
      files.set(path, text).set(`${path}.gz`, gzipSync(text)).set(`${path}.xz`, xz(text));
    }
  }
  return files;
}

async function prepare() {
  const folder = scratchFolder();
  const mirror = await startMirror();
  const key = await makeKey(join(folder.path, "key.gpg"), ago(400));
  const security = `${mirror.url}/security`;
  const environment = {
    mirrors: { ...mirrorsAt(mirror.url, key.keyring), security: [security] },
    cacheDirectory: join(folder.path, "cache"),
    now,
    retryDelaySeconds: 0.005,
    timeoutSeconds: 1,
  };
  const publish = async (suite: string, parts: Partial<ReleaseParts> = {}, archive: Archive = "main") => {
    const base = `${archive === "security" ? "security/" : ""}dists/${suite}`;
    for (const [path, bytes] of await suiteFiles(suite, key, parts)) mirror.files.set(`${base}/${path}`, bytes);
  };
  return {
    folder: folder.path,
    mirror,
    key,
    environment,
    publish,
    [Symbol.asyncDispose]: async () => {
      await mirror[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** All files of a suite by path: InRelease, and indices by hash or, in an archive without, by name. */
async function suiteFiles(suite: string, key: TestKey, parts: Partial<ReleaseParts>): Promise<[string, Buffer][]> {
  const full = { date: ago(2), files: allForms(suite), codename: suite, ...parts };
  const inRelease = await clearSign(releaseText(full), key.privateKey, ago(1));
  const indices = [...full.files].map(([path, bytes]): [string, Buffer] => {
    const byHash = `${path.slice(0, path.lastIndexOf("/"))}/by-hash/SHA256/${sha256(bytes)}`;
    return [full.byHash === false ? path : byHash, bytes];
  });
  return [["InRelease", Buffer.from(inRelease)], ...indices];
}

const texts = async (suites: readonly LockedSuite[], cache: string) =>
  Promise.all(suites.flatMap(({ indices }) => indices.map((index) => readIndex(index, cache).then(String))));

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "good",
    (error: MesoError) => error.code,
  );
}

test("suites, updates and security are pulled, locked, and read without a network", async () => {
  await using scene = await prepare();
  const { environment, mirror, publish } = scene;
  await publish("trixie");
  await publish("trixie-updates");
  await publish("trixie-security", { validUntil: new Date(now.getTime() + 1000) }, "security");
  const wide = { ...request, components: ["main", "contrib"], updates: true, security: true };
  const suites = await pullChannel(wide, environment);
  const indices = suites.flatMap(({ archive, suite, indices }) => indices.map((i) => `${archive} ${suite} ${i.path}`));
  assert.deepEqual(indices.slice(0, 5), [
    "main trixie contrib/binary-all/Packages.xz",
    "main trixie contrib/binary-amd64/Packages.xz",
    "main trixie main/binary-all/Packages.xz",
    "main trixie main/binary-amd64/Packages.xz",
    "main trixie-updates contrib/binary-all/Packages.xz",
  ]);
  assert.equal(indices[11], "security trixie-security main/binary-amd64/Packages.xz");
  const lock = parseLock(formatLock(withSuites(undefined, suites)), "meso.lock");
  assert.ok(!formatLock(lock).includes("127.0.0.1"), "a lock names no mirror");
  mirror.asked.length = 0;
  const ensured = await ensureIndices(lock, wide, environment);
  assert.deepEqual(mirror.asked, []);
  assert.equal(channelIdentity(ensured), channelIdentity(suites));
  assert.equal((await texts(ensured, environment.cacheDirectory))[2], String(packages("trixie-main-all")));
  const narrow = await ensureIndices(lock, request, environment);
  assert.deepEqual(
    narrow.map(({ suite, indices }) => [suite, ...indices.map((i) => `${i.component} ${i.architecture}`)]),
    [["trixie", "main all", "main amd64"]],
  );
  assert.equal(await codeOf(ensureIndices(lock, { ...request, architectures: ["arm64"] }, environment)), "not-locked");
  assert.equal(await codeOf(ensureIndices(undefined, request, environment)), "not-locked");
});

test("which suites a name means", () => {
  const both = { ...request, updates: true, security: true };
  const names = (suite: string) => suitesOf({ ...both, suite }).map((s) => `${s.archive} ${s.suite}`);
  assert.deepEqual(names("bookworm"), ["main bookworm", "main bookworm-updates", "security bookworm-security"]);
  assert.deepEqual(names("sid"), ["main sid"]);
  assert.deepEqual(names("trixie-backports"), ["main trixie-backports"]);
  assert.deepEqual(names("trixie-security"), ["security trixie-security"]);
});

test("the index of packages for all architectures is left out where the others repeat it", async () => {
  await using scene = await prepare();
  await scene.publish("trixie", { more: "No-Support-for-Architecture-all: Packages" });
  const [suite] = await pullChannel(request, scene.environment);
  assert.deepEqual(
    suite!.indices.map(({ architecture }) => architecture),
    ["amd64"],
  );
});

test("a folder without by-hash, with gz or plain indices only", async () => {
  await using scene = await prepare();
  const { environment, folder, key } = scene;
  for (const ends of [[".gz", ""], [""]]) {
    const kept = [...allForms("trixie")].filter(([path]) => ends.some((end) => path.endsWith(`Packages${end}`)));
    const files = await suiteFiles("trixie", key, { files: new Map(kept), byHash: false });
    for (const [path, bytes] of files) writeAt(folder, `mirror/dists/trixie/${path}`, bytes);
    const mirrors = { ...environment.mirrors, main: [pathToFileURL(join(folder, "mirror")).href] };
    const cacheDirectory = join(folder, `cache${ends.length}`);
    const suites = await pullChannel(request, { ...environment, mirrors, cacheDirectory });
    assert.equal(suites[0]!.indices[0]!.path, `main/binary-all/Packages${ends[0]}`);
    assert.equal((await texts(suites, cacheDirectory))[1], String(packages("trixie-main-amd64")));
    writeAt(folder, `mirror/dists/trixie/${suites[0]!.indices[0]!.path}`, "the archive moved on");
    const lock = withSuites(undefined, suites);
    assert.equal(
      await codeOf(ensureIndices(lock, request, { mirrors, cacheDirectory: join(folder, "new") })),
      "index-gone",
    );
  }
});

test("an empty cache is filled from a lock; gone and forged indices have their own errors", async () => {
  await using scene = await prepare();
  const { environment, mirror, publish } = scene;
  await publish("trixie");
  const suites = await pullChannel(request, environment);
  const lock = withSuites(undefined, suites);
  const wanted = suites[0]!.indices[0]!;
  const path = `dists/trixie/main/binary-all/by-hash/SHA256/${wanted.sha256}`;
  rmSync(environment.cacheDirectory, { recursive: true });
  mirror.files.set("dists/trixie/InRelease", Buffer.from("a newer one"));
  await ensureIndices(lock, request, environment);
  assert.equal((await readIndex(wanted, environment.cacheDirectory)).length, wanted.text.size);
  rmSync(environment.cacheDirectory, { recursive: true });
  mirror.faults.set(path, { kind: "body", body: Buffer.alloc(wanted.size) });
  assert.equal(await codeOf(ensureIndices(lock, request, environment)), "hash-mismatch");
  mirror.faults.set(path, { kind: "status", status: 404 });
  await assert.rejects(ensureIndices(lock, request, environment), (error: MesoError) => {
    assert.equal(error.code, "index-gone");
    assert.match(error.problems[0]!.hint!, /meso pull/);
    return true;
  });
});

test("a cache that the disk spoils heals", async () => {
  await using scene = await prepare();
  const { environment, publish } = scene;
  const { cacheDirectory } = environment;
  await publish("trixie");
  const suites = await pullChannel(request, environment);
  const lock = withSuites(undefined, suites);
  const index = suites[0]!.indices[0]!;
  const right = await readIndex(index, cacheDirectory);
  const text = indexTextFile(index, cacheDirectory);
  writeFileSync(text, Buffer.alloc(index.text.size));
  assert.deepEqual(await readIndex(index, cacheDirectory), right);
  writeFileSync(text, Buffer.alloc(index.text.size));
  writeFileSync(join(cacheDirectory, "indices", index.sha256), Buffer.alloc(index.size));
  assert.equal(await codeOf(readIndex(index, cacheDirectory)), "index-damaged");
  await ensureIndices(lock, request, environment);
  assert.deepEqual(await readIndex(index, cacheDirectory), right);
  assert.deepEqual(
    readdirSync(join(cacheDirectory, "indices")).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("an index that expands beyond what is signed, or to less, is refused", async () => {
  for (const [form, pack] of [
    [".xz", xz],
    [".gz", gzipSync],
  ] as const) {
    for (const bytes of [30_000_000, 10]) {
      await using scene = await prepare();
      const path = "main/binary-amd64/Packages";
      const files = new Map([
        [path, packages("small")],
        [`${path}${form}`, pack(Buffer.alloc(bytes))],
      ]);
      await scene.publish("trixie", { files, more: "No-Support-for-Architecture-all: Packages" });
      await assert.rejects(pullChannel(request, scene.environment), (error: MesoError) => {
        assert.equal(error.code, "index-damaged");
        assert.match(error.message, bytes > 10 ? /more than|larger than/ : /not what|instead of/);
        return true;
      });
    }
  }
});

test("what the archive does not have is named with what it has", async () => {
  await using scene = await prepare();
  const { environment, publish } = scene;
  await publish("trixie");
  const cases = [
    [{ suite: "trixy" }, "unknown-suite", /trixie, bookworm/],
    [{ components: ["universe"] }, "unknown-component", /main, contrib/],
    [{ architectures: ["vax"] }, "unknown-architecture", /amd64, arm64/],
    [{ suite: "../../etc" }, "bad-channel", /names/],
    [{ architectures: [] }, "bad-channel", /names/],
  ] as const;
  for (const [change, code, expected] of cases) {
    await assert.rejects(pullChannel({ ...request, ...change }, environment), (error: MesoError) => {
      assert.equal(error.code, code);
      assert.match(error.problems[0]!.expected!, expected);
      return true;
    });
  }
  const mirrors = { ...environment.mirrors, security: [] };
  const secured = pullChannel({ ...request, security: true }, { ...environment, mirrors });
  assert.equal(await codeOf(secured), "no-security-mirror");
});

test("another suite, an expired or an older one, or a portal's page in its place is refused", async () => {
  await using scene = await prepare();
  const { environment, mirror, publish } = scene;
  await publish("trixie", { codename: "bookworm" });
  assert.equal(await codeOf(pullChannel(request, environment)), "wrong-suite");
  await publish("trixie", { date: ago(100), validUntil: ago(50) });
  assert.equal(await codeOf(pullChannel(request, environment)), "expired-index");
  assert.equal(await codeOf(pullChannel(request, { ...environment, acceptExpired: true })), "good");
  await publish("trixie", { date: ago(10) });
  const previous = await pullChannel(request, environment);
  await publish("trixie", { date: ago(11) });
  assert.equal(await codeOf(pullChannel(request, { ...environment, previous })), "older-index");
  await publish("trixie", { date: ago(10) });
  assert.equal(await codeOf(pullChannel(request, { ...environment, previous })), "good");
  mirror.files.set("dists/trixie/InRelease", Buffer.from("<html>please log in</html>"));
  assert.equal(await codeOf(pullChannel(request, environment)), "bad-signature");
  mirror.faults.set("dists/trixie/InRelease", { kind: "endless" });
  assert.equal(await codeOf(pullChannel(request, environment)), "too-large");
  mirror.faults.set("dists/trixie/InRelease", { kind: "status", status: 502 });
  assert.equal(await codeOf(pullChannel(request, environment)), "mirror-unreachable");
});

test("of a misspelt suite that very name is told, not those derived from it", async () => {
  await using scene = await prepare();
  const misspelt = { ...request, suite: "tricksy", updates: true, security: true };
  scene.mirror.faults.set("dists/tricksy/InRelease", { kind: "status", status: 503, times: 1 });
  await assert.rejects(pullChannel(misspelt, scene.environment), /no suite "tricksy"/);
});

test("a pull outlives passing faults and takes the next mirror", async () => {
  await using scene = await prepare();
  const { environment, mirror, publish } = scene;
  await publish("trixie");
  mirror.faults.set("dists/trixie/InRelease", { kind: "status", status: 503, times: 2 });
  assert.equal(await codeOf(pullChannel(request, environment)), "good");
  const mirrors = { ...environment.mirrors, main: ["http://127.0.0.1:9/debian", mirror.url] };
  const fresh = { ...environment, mirrors, cacheDirectory: join(scene.folder, "other") };
  assert.equal(await codeOf(pullChannel(request, fresh)), "good");
});
