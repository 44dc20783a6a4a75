import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { MesoError } from "../base/error.ts";
import type { ArchiveRequest, DownloadOptions, DownloadProgress } from "./download.ts";
import { archiveFile, downloadAll, planDownloads, verifyArchive } from "./download.ts";
import { downloadFile } from "./download-file.ts";
import { createFetcher } from "./fetch.ts";
import type { TestMirror } from "./mirror-server.testing.ts";
import { mirrorsAt, noise, requestFor, scratchFolder, startMirror, writeAt } from "./mirror-server.testing.ts";

const contents = noise("archive", 300_000);
const path = "pool/main/a/a+b/a+b_1.0~rc1-1_amd64.deb";
const request = requestFor(path, contents);
const quick = { retryDelaySeconds: 0.005, timeoutSeconds: 0.3 };

async function prepare() {
  const folder = scratchFolder();
  const mirror = await startMirror();
  mirror.files.set(path, contents);
  const options = { mirrors: mirrorsAt(mirror.url), cacheDirectory: join(folder.path, "cache"), ...quick };
  return {
    mirror,
    options,
    [Symbol.asyncDispose]: async () => {
      await mirror[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const cached = (options: DownloadOptions, of: ArchiveRequest = request) =>
  readFileSync(archiveFile(options.cacheDirectory, of.sha256));
const partials = (options: DownloadOptions) => readdirSync(join(options.cacheDirectory, "partial"));
const failing = (mirror: TestMirror, fault: Parameters<TestMirror["faults"]["set"]>[1]) =>
  mirror.faults.set(path, fault);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "good",
    (error: MesoError) => (error.name === "AbortError" ? error.name : error.code),
  );
}

test("archives arrive, each once, over few connections; a second run asks for nothing", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const requests = Array.from({ length: 60 }, (_, i) => {
    const bytes = noise(`file ${i}`, 1000 * i);
    mirror.files.set(`pool/main/f/f_${i}_all.deb`, bytes);
    return requestFor(`pool/main/f/f_${i}_all.deb`, bytes);
  });
  const plan = await planDownloads([...requests, ...requests], options.cacheDirectory);
  assert.deepEqual([plan.missing.length, plan.bytes, plan.presentFiles], [60, 1_770_000, 0]);
  assert.ok(!existsSync(options.cacheDirectory), "planning writes nothing");
  const seen: DownloadProgress[] = [];
  await downloadAll([...requests, ...requests], { ...options, connections: 4, progress: (now) => seen.push(now) });
  for (const one of requests) assert.deepEqual(cached(options, one), mirror.files.get(one.path));
  assert.equal(mirror.asked.length, 59, "an empty file need not be asked for");
  assert.ok(mirror.connections.most <= 4 && mirror.connections.total <= 4, JSON.stringify(mirror.connections));
  assert.deepEqual(seen.at(-1), { files: 60, totalFiles: 60, bytes: 1_770_000, totalBytes: 1_770_000 });
  assert.deepEqual(partials(options), []);
  mirror.asked.length = 0;
  await downloadAll(requests, options);
  assert.deepEqual(mirror.asked, []);
  assert.equal((await planDownloads(requests, options.cacheDirectory)).presentFiles, 60);
});

test("a connection that breaks is resumed where it broke", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  failing(mirror, { kind: "truncate", bytes: 100_000, times: 2 });
  await downloadAll([request], options);
  const offsets = mirror.asked.map((asked) => Number(/ from (\d+)$/.exec(asked)?.[1] ?? 0));
  assert.equal(offsets[0], 0);
  // What was still on its way inside the process when the connection broke is lost.
  assert.ok(offsets.length === 3 && offsets[1]! > 0 && offsets[2]! > offsets[1]!, JSON.stringify(offsets));
  assert.deepEqual(cached(options), contents);
});

test("a server that cannot resume sends the whole again", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  mirror.ranges = false;
  failing(mirror, { kind: "truncate", bytes: 100_000, times: 2 });
  await downloadAll([request], options);
  assert.deepEqual(cached(options), contents);
  assert.equal(mirror.asked.length, 3);
});

for (const [name, fault] of Object.entries({
  "error 500 once": { kind: "status", status: 500, times: 1 },
  "error 503 twice": { kind: "status", status: 503, times: 2 },
  "silence once": { kind: "stall", bytes: 70_000, times: 1 },
  "another file once": { kind: "body", body: noise("other", 300_000), times: 1 },
  "a larger file once": { kind: "body", body: noise("other", 300_001), times: 1 },
  "a smaller file once": { kind: "body", body: contents.subarray(0, 299_999), times: 1 },
} as const)) {
  test(`passing fault: ${name}`, async () => {
    await using scene = await prepare();
    const { mirror, options } = scene;
    failing(mirror, fault);
    await downloadAll([request], options);
    assert.ok(mirror.asked.length > 1);
    assert.deepEqual(cached(options), contents);
    assert.deepEqual(partials(options), []);
  });
}

for (const [name, fault, code, most] of [
  ["404", { kind: "status", status: 404 }, "archive-gone", 1],
  ["403", { kind: "status", status: 403 }, "mirror-unreachable", 1],
  ["500 always", { kind: "status", status: 500 }, "mirror-unreachable", 6],
  ["silence always", { kind: "stall", bytes: 0 }, "mirror-unreachable", 6],
  ["other contents", { kind: "body", body: noise("other", 300_000) }, "hash-mismatch", 2],
  ["larger", { kind: "body", body: noise("other", 400_000) }, "hash-mismatch", 2],
  ["smaller", { kind: "body", body: contents.subarray(0, 1000) }, "hash-mismatch", 6],
  ["redirect in a circle", { kind: "redirect", to: `/debian/${path}` }, "mirror-unreachable", 11],
  ["redirect to a file", { kind: "redirect", to: "file:///etc/passwd" }, "mirror-unreachable", 1],
] as const) {
  test(`lasting fault: ${name}`, async () => {
    await using scene = await prepare();
    const { mirror, options } = scene;
    failing(mirror, fault);
    assert.equal(await codeOf(downloadAll([request], options)), code);
    assert.ok(mirror.asked.length <= most, `asked ${mirror.asked.length} times`);
    assert.ok(!existsSync(archiveFile(options.cacheDirectory, request.sha256)));
  });
}

test("a mirror where nobody listens is given up at once", async () => {
  await using scene = await prepare();
  const mirrors = mirrorsAt("http://127.0.0.1:9/debian");
  const begun = performance.now();
  assert.equal(
    await codeOf(downloadAll([request], { ...scene.options, mirrors, retryDelaySeconds: 0.25 })),
    "mirror-unreachable",
  );
  assert.ok(performance.now() - begun < 2500, "one repetition, not five that wait twice as long each");
});

test("an endless body is cut at the size that the index says", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  failing(mirror, { kind: "endless" });
  let most = 0;
  const progress = ({ bytes }: DownloadProgress) => {
    most = Math.max(most, bytes);
  };
  assert.equal(await codeOf(downloadAll([request], { ...options, progress })), "hash-mismatch");
  assert.ok(most <= request.size);
});

test("a redirect is followed", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  await using second = await startMirror();
  second.files.set("moved.deb", contents);
  failing(mirror, { kind: "redirect", to: `${second.url}/moved.deb` });
  await downloadAll([request], options);
  assert.deepEqual(cached(options), contents);
});

test("the next mirror is asked when one lacks or falsifies a file", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  await using second = await startMirror();
  second.files.set(path, contents);
  const mirrors = { ...options.mirrors, main: [mirror.url, second.url] };
  for (const fault of [
    { kind: "status", status: 404 },
    { kind: "body", body: noise("x", 300_000) },
  ] as const) {
    using fresh = scratchFolder();
    failing(mirror, fault);
    await downloadAll([request], { ...options, mirrors, cacheDirectory: fresh.path });
  }
  assert.equal(second.asked.length, 2);
});

test("files that fail do not stop the others, and are reported together", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const lost = requestFor("pool/lost.deb", noise("lost", 10));
  const wrong = requestFor("pool/wrong.deb", noise("wrong", 10));
  mirror.files.set(wrong.path, noise("forged", 10));
  await assert.rejects(downloadAll([lost, wrong, request], options), (error: MesoError) => {
    assert.deepEqual(
      error.problems.map(({ code }) => code),
      ["archive-gone", "hash-mismatch"],
    );
    return true;
  });
  assert.deepEqual(cached(options), contents);
});

test("no path leaves the archive", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  for (const hostile of ["../etc/passwd", "/etc/passwd", "pool//x.deb", "pool/../x.deb", "pool/x.deb?y", "", "a\nb"]) {
    assert.equal(await codeOf(downloadAll([{ ...request, path: hostile }], options)), "hostile-path", hostile);
  }
  assert.deepEqual(mirror.asked, []);
});

test("a folder serves as a mirror", async () => {
  using folder = scratchFolder();
  writeAt(folder.path, `mirror/${path}`, contents);
  const options = {
    mirrors: mirrorsAt(pathToFileURL(join(folder.path, "mirror")).href),
    cacheDirectory: join(folder.path, "cache"),
  };
  await downloadAll([request], options);
  assert.deepEqual(cached(options), contents);
  assert.equal(await codeOf(downloadAll([requestFor("pool/lost.deb", noise("l", 9))], options)), "archive-gone");
});

test("a proxy is used, except for hosts that go without", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const mirrors = { ...options.mirrors, main: ["http://archive.example.test/debian"] };
  const proxy = { HTTP_PROXY: new URL(mirror.url).origin };
  await downloadAll([request], { ...options, mirrors: { ...mirrors, proxy } });
  assert.deepEqual(mirror.asked, [path]);
  assert.deepEqual(cached(options), contents);
  using fresh = scratchFolder();
  const dead = { HTTP_PROXY: "http://127.0.0.1:9", NO_PROXY: "127.0.0.1" };
  await downloadAll([request], {
    ...options,
    cacheDirectory: fresh.path,
    mirrors: { ...options.mirrors, proxy: dead },
  });
  assert.equal(mirror.asked.length, 2);
});

test("an abort ends at once, keeps what is there, and the next run goes on from it", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  failing(mirror, { kind: "stall", bytes: 120_000, times: 1 });
  const control = new AbortController();
  const progress = ({ bytes }: DownloadProgress) => bytes >= 120_000 && control.abort();
  const started = performance.now();
  const slow = { ...options, timeoutSeconds: 30, signal: control.signal, progress };
  assert.equal(await codeOf(downloadAll([request], slow)), "AbortError");
  assert.ok(performance.now() - started < 2000);
  assert.deepEqual(partials(options), [`${request.sha256}.part`]);
  await downloadAll([request], options);
  const resumed = Number(/ from (\d+)$/.exec(mirror.asked[1]!)?.[1]);
  assert.ok(mirror.asked.length === 2 && resumed > 100_000 && resumed <= 120_000, mirror.asked.join(", "));
  assert.deepEqual(cached(options), contents);
});

test("spoiled partials heal: wrong bytes, too many, of a process that is gone", async () => {
  const started = performance.now();
  for (const [name, bytes] of [
    [`${request.sha256}.part`, noise("junk", 5000)],
    [`${request.sha256}.part`, noise("junk", 300_000)],
    [`${request.sha256}.part`, noise("junk", 400_000)],
    [`${request.sha256}.4194304999-0f-0.part`, contents.subarray(0, 5000)],
    [`${request.sha256}.${process.pid}-0f-0.part`, contents.subarray(0, 5000)],
    [`${request.sha256}.part`, contents],
  ] as const) {
    await using scene = await prepare();
    const { options } = scene;
    mkdirSync(join(options.cacheDirectory, "partial"), { recursive: true });
    writeFileSync(join(options.cacheDirectory, "partial", name), bytes);
    await downloadAll([request], options);
    assert.deepEqual(cached(options), contents);
    assert.deepEqual(partials(options), []);
  }
  assert.ok(performance.now() - started < 10_000, "nobody is waited for");
});

test("one file wanted twice at the same moment is fetched once", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  mirror.latencyMilliseconds = 50;
  // Below the preparations of `downloadAll`, so that all of them look before any begins.
  const partialFolder = join(options.cacheDirectory, "partial");
  mkdirSync(partialFolder, { recursive: true });
  const target = join(options.cacheDirectory, "target");
  const { sha256, size } = request;
  const file = { urls: [`${mirror.url}/${path}`], sha256, size, target, partials: partialFolder };
  const fetcher = createFetcher(quick);
  const outcomes = await Promise.all(Array.from({ length: 9 }, () => downloadFile(file, fetcher)));
  fetcher.close();
  assert.deepEqual(new Set(outcomes), new Set(["done"]));
  assert.deepEqual(readFileSync(target), contents);
  assert.equal(mirror.asked.length, 1);
  assert.deepEqual(partials(options), []);
});

test("while another process fetches a file, the others are fetched first", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const free = requestFor("pool/free.deb", noise("free", 1000));
  mirror.files.set(free.path, noise("free", 1000));
  const other = spawn("sleep", ["20"]);
  const name = `partial/${request.sha256}.${other.pid}-0f-0.part`;
  writeAt(options.cacheDirectory, name, contents.subarray(0, 1000));
  const all = downloadAll([request, free], { ...options, connections: 1 });
  const deadline = Date.now() + 5000;
  const isThere = () => existsSync(archiveFile(options.cacheDirectory, free.sha256));
  while (!isThere() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  const first = isThere();
  other.kill("SIGKILL");
  await all;
  assert.ok(first);
  assert.deepEqual(mirror.asked, [free.path, `${path} from 1000`]);
  assert.deepEqual(cached(options), contents);
});

test("a cached archive of another size is fetched anew; one of other contents is found by verifying", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const file = archiveFile(options.cacheDirectory, request.sha256);
  writeAt(options.cacheDirectory, `archives/${request.sha256}.deb`, "short");
  await downloadAll([request], options);
  assert.ok(await verifyArchive(options.cacheDirectory, request.sha256));
  const spoiled = Buffer.from(contents);
  spoiled[1000]! ^= 1;
  writeFileSync(file, spoiled);
  await downloadAll([request], options);
  assert.equal(mirror.asked.length, 1, "trusted by its size");
  assert.equal(await verifyArchive(options.cacheDirectory, request.sha256), false);
  await downloadAll([request], options);
  assert.deepEqual(cached(options), contents);
});

test("two calls and several processes fill one cache, killed ones among them", async () => {
  await using scene = await prepare();
  const { mirror, options } = scene;
  const requests = Array.from({ length: 12 }, (_, i) => {
    const bytes = noise(`shared ${i}`, 200_000 + i);
    mirror.files.set(`pool/s_${i}.deb`, bytes);
    return requestFor(`pool/s_${i}.deb`, bytes);
  });
  const module = fileURLToPath(new URL("./download.ts", import.meta.url));
  const { mirrors, cacheDirectory } = options;
  const program = `import { downloadAll } from ${JSON.stringify(module)};
    await downloadAll(${JSON.stringify(requests)}, ${JSON.stringify({ mirrors, cacheDirectory, connections: 2 })});`;
  const start = () => spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" });
  mirror.latencyMilliseconds = 20;
  const killed = start();
  while (mirror.asked.length < 4) await new Promise((resolve) => setTimeout(resolve, 2));
  killed.kill("SIGKILL");
  await new Promise((resolve) => killed.on("close", resolve));
  assert.ok((await planDownloads(requests, cacheDirectory)).missing.length > 0, "killed in the middle");
  const others = [start(), start()];
  const ended = others.map((child) => new Promise((resolve) => child.on("close", resolve)));
  const calls = [downloadAll(requests, options), downloadAll([...requests].reverse(), options)];
  assert.deepEqual(await Promise.all(ended), [0, 0]);
  await Promise.all(calls);
  for (const one of requests) assert.deepEqual(cached(options, one), mirror.files.get(one.path));
  await downloadAll(requests, options);
  assert.ok(mirror.asked.length <= 2 * requests.length, `work is shared: asked ${mirror.asked.length} times`);
});
