import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { runInSandbox } from "./sandbox.ts";
import { hostTree } from "./tool-root.testing.ts";
import { toolRoot } from "./tool-root.ts";

const coreutils = ["sh", "id", "ls", "cat", "env", "sleep", "touch", "uname"].map((name) => `/usr/bin/${name}`);

async function withRoot(body: (place: { root: string; folder: string }) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "meso-sandbox-"));
  try {
    const { tree, read } = await hostTree(coreutils);
    const { directory } = await toolRoot({ tree, read, binaries: coreutils, cacheDirectory: join(folder, "cache") });
    await body({ root: directory, folder });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const shell = (script: string) => ["/usr/bin/sh", "-c", script];

test("nothing of the host shows inside", () =>
  withRoot(async ({ root, folder }) => {
    await mkdir(join(folder, "out"), { mode: 0o777 });
    const script = "id -u; id -g; uname -n; umask; env; echo ===; ls /; cat /proc/net/dev; touch /out/x; touch /usr/y";
    const { stdout } = await runInSandbox({
      root,
      binds: [{ from: join(folder, "out"), to: "/out", writable: true }],
      command: shell(`(${script}) 2>&1; true`),
      env: { EXTRA: "a b" },
      timeoutSeconds: 20,
    });
    const text = stdout.toString();
    assert.match(text, /^1000\n1000\nbuild\n0022\n/);
    assert.match(text, /SOURCE_DATE_EPOCH=1\n/);
    assert.match(text, /LANG=C.UTF-8\n/);
    assert.match(text, /EXTRA=a b\n/);
    assert.match(text, /===\n(bin\ndev|dev)\n/);
    assert.ok(!text.includes(hostname()) && !text.includes(folder) && !text.includes("/root"), text);
    assert.ok(!/eth|ens|enp|wlan/.test(text), "only the loopback interface may show");
    assert.match(text, /Read-only file system/);
    assert.equal((await stat(join(folder, "out/x"))).mode & 0o777, 0o644);
    await assert.rejects(readFile(join(root, "usr/y")));
  }));

test("a failing command tells its exit code and what it wrote last", () =>
  withRoot(async ({ root }) => {
    const run = runInSandbox({ root, command: shell("echo reason why >&2; exit 3"), timeoutSeconds: 20 });
    await assert.rejects(run, (error: MesoError) => {
      assert.equal(error.code, "build-failed");
      assert.match(error.message, /exit code 3[\s\S]*reason why/);
      return true;
    });
    const nothing = runInSandbox({ root, command: ["/usr/bin/none"], timeoutSeconds: 20 });
    await assert.rejects(nothing, (error: MesoError) => error.code === "build-failed");
  }));

test("a deadline and an abort kill it", () =>
  withRoot(async ({ root }) => {
    const late = runInSandbox({ root, command: ["/usr/bin/sleep", "60"], timeoutSeconds: 0.3 });
    await assert.rejects(late, (error: MesoError) => error.code === "build-timeout");
    const controller = new AbortController();
    const aborted = runInSandbox({
      root,
      command: ["/usr/bin/sleep", "60"],
      timeoutSeconds: 20,
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 200);
    await assert.rejects(aborted, { name: "AbortError" });
  }));

test("without bubblewrap the error names the package to install", () =>
  withRoot(async ({ root, folder }) => {
    const before = process.env.PATH;
    process.env.PATH = folder;
    try {
      const run = runInSandbox({ root, command: ["/usr/bin/id"], timeoutSeconds: 20 });
      await assert.rejects(run, /apt-get install bubblewrap/);
    } finally {
      process.env.PATH = before;
    }
  }));

test("a damaged tool root is made again, a whole one is kept", () =>
  withRoot(async ({ root, folder }) => {
    const before = await stat(join(root, "usr/bin/ls"));
    const again = async () => {
      const { tree, read } = await hostTree(coreutils);
      return toolRoot({ tree, read, binaries: coreutils, cacheDirectory: join(folder, "cache") });
    };
    assert.equal((await again()).directory, root);
    assert.equal((await stat(join(root, "usr/bin/ls"))).ino, before.ino);
    await writeFile(join(root, "usr/bin/ls"), "");
    assert.equal((await again()).directory, root);
    assert.equal((await stat(join(root, "usr/bin/ls"))).size, before.size);
  }));

test("a missing library is named with who needs it", async () => {
  const { tree, read } = await hostTree(["/usr/bin/ls"]);
  const without = new Map([...tree].filter(([path]) => !path.includes("libselinux")));
  const root = toolRoot({ tree: without, read, binaries: ["/usr/bin/ls"], cacheDirectory: join(tmpdir(), "unused") });
  await assert.rejects(root, (error: MesoError) => {
    assert.ok(error instanceof MesoError);
    assert.match(error.message, /libselinux\S*, needed by \/usr\/bin\/ls/);
    return true;
  });
});

test("links that loop end in an error, not in a loop", async () => {
  const link = (target: string) =>
    ({ kind: "symlink", target, mode: 0o777, uid: 0, gid: 0, mtime: 0, origin: "test" }) as const;
  const tree = new Map([
    ["/a", link("b")],
    ["/b", link("/a")],
  ]);
  const root = toolRoot({ tree, read: () => Buffer.alloc(0), binaries: ["/a"], cacheDirectory: tmpdir() });
  await assert.rejects(root, /\/a, needed by the caller/);
});
