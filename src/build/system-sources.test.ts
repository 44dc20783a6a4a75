import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MesoError } from "../base/error.ts";
import type { ProgressEvent } from "../base/progress.ts";
import { fileSystem, inherit, label, operatingSystem } from "../index.ts";
import { debianSource, meson, sourcePackage } from "../packages/index.ts";
import { writeCacheSettings } from "../store/cache-settings.ts";
import { copyToFolder } from "../store/copy-items.ts";
import { extractTree } from "../store/extract-tree.ts";
import type { FileTree } from "../store/file-tree.ts";
import { openItems } from "../store/items.ts";
import { makeCacheKey } from "../store/narinfo.ts";
import { runInSandbox } from "../store/sandbox.ts";
import { freshSession, testSession } from "../test-support/test-session.ts";
import { realiseSystem } from "./compose.ts";
import { prepareSystem } from "./prepare.ts";
import { buildSources } from "./system-sources.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-sources-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const inih = sourcePackage({
  name: "inih",
  version: "59",
  source: ({ version }) => debianSource("libinih", { version }),
  buildSystem: meson(),
  // Seen in what the library gives out: comments may begin with % here.
  compilerFlags: ["-DINI_START_COMMENT_PREFIXES='\";#%\"'"],
  replaces: ["libinih1", "libinireader0"],
});

/** mkfs.xfs reads its presets by libinih. */
const os = operatingSystem({
  hostName: "disks",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" })],
  packages: ["xfsprogs"],
  services: [],
});

test("what is built from source takes a Debian package's place, and its dependents use it", async () => {
  const session = testSession();
  const [plain, prepared] = [
    await prepareSystem(session, os),
    await prepareSystem(session, inherit(os, { sourcePackages: [inih] })),
  ];
  assert.notEqual(prepared.systemHash, plain.systemHash);
  const { tree, readFile } = await realiseSystem(session, prepared);
  const root = prepared.sources[0]!.output;
  const library = "/usr/lib/x86_64-linux-gnu/libinih.so.1";
  const entry = tree.get(library);
  assert.equal(entry?.kind === "symlink" && entry.target, `${root}/lib/libinih.so.1`);
  assert.ok(tree.has("/usr/share/doc/libinih1/copyright"), "documentation stays");
  const sums = tree.get("/var/lib/dpkg/info/libinih1:amd64.md5sums");
  assert.ok(sums?.kind === "file");
  assert.doesNotMatch(Buffer.from(readFile(sums)).toString(), /libinih\.so/);

  const preset = "printf '%% not a word\\n[inode]\\nsize=1024\\n' > /tmp/preset && truncate -s 400M /tmp/disk";
  const makeFileSystem = async (name: string, files: FileTree) => {
    extractTree(session.store, files, join(folder, name));
    const command = ["/bin/sh", "-c", `${preset} && mkfs.xfs -c options=/tmp/preset -N /tmp/disk`];
    return (await runInSandbox({ root: join(folder, name), command, timeoutSeconds: 60 })).stdout.toString();
  };
  assert.match(await makeFileSystem("root", tree), /isize=1024/);
  const { tree: plainTree } = await realiseSystem(session, plain);
  await assert.rejects(makeFileSystem("plain", plainTree), /preset/);
  assert.equal(
    realpathSync(join(folder, "root", root, "lib/libinih.so.1")).startsWith(join(folder, "root", root)),
    true,
  );
});

test("what a cache of the store has is taken from there, and not built", async () => {
  const session = testSession();
  const wanted = inherit(os, { sourcePackages: [inih] });
  const built = await buildSources(session, (await prepareSystem(session, wanted)).sources);
  const key = makeCacheKey("test-1", Buffer.alloc(32, 7));
  const cache = join(folder, "cache");
  const paths = built.map(({ root }) => root);
  await copyToFolder(openItems(session.store), paths, cache, {
    compression: "zstd",
    parallel: 1,
    secretKey: key.secret,
  });

  const events: ProgressEvent[] = [];
  const fresh = freshSession();
  try {
    writeCacheSettings(fresh.store, [{ address: `file://${cache}`, keys: [key.public] }]);
    const listening = { ...fresh, report: (event: ProgressEvent) => events.push(event) };
    const { sources } = await prepareSystem(listening, wanted);
    assert.deepEqual(await buildSources(listening, sources), built);
  } finally {
    fresh.remove();
  }
  const told = JSON.stringify(events);
  // With its seconds, so that it stands in a log as well.
  assert.match(told, /"stage":"fetch","text":"inih-59, [^"]* from [^"]*","seconds":0/);
  assert.doesNotMatch(told, /"stage":"build"/);
});

test("one that replaces nothing of the system is told so, with the nearest name", async () => {
  const wrong = inherit(os, { sourcePackages: [inherit(inih, { replaces: ["libini1"] })] });
  await assert.rejects(prepareSystem(testSession(), wrong), (error: unknown) => {
    assert.ok(error instanceof MesoError);
    assert.equal(error.code, "replaces-nothing");
    assert.match(error.message, /inih takes the place of libini1, none of which is in the system/);
    assert.match(error.message, /libinih1/);
    return true;
  });
});
