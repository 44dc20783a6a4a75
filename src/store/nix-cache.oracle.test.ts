import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { openBinaryCache } from "./binary-cache.ts";
import { copyToFolder } from "./copy-items.ts";
import { exportItems, importItems } from "./export-items.ts";
import { openItems } from "./items.ts";
import { narHash } from "./nar.ts";
import { makeCacheKey, readPublicKey } from "./narinfo.ts";
import { removeTree } from "./remove-tree.ts";
import { storeServer } from "./serve.ts";
import { openStore } from "./store.ts";
import { createSubstituter } from "./substitute.ts";

// Nix's own tools fetch from our server, read our exports, and give us theirs.
const folder = mkdtempSync(join(tmpdir(), "meso-nix-cache-"));
after(() => removeTree(folder));
const at = (...names: string[]) => join(folder, ...names);
const prefix = "/nix/store";
const key = makeCacheKey("test-1", Buffer.alloc(32, 7));

const run = promisify(execFile);
async function nix(command: string, words: readonly string[], input = "/dev/null"): Promise<string> {
  const settings = {
    "experimental-features": "nix-command",
    "build-users-group": "",
    substituters: "",
    "trusted-public-keys": key.public,
    // What it heard of a cache it would not ask again.
    "narinfo-cache-negative-ttl": "0",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["--option", name, value]);
  const env = { ...process.env, HOME: folder, NIX_STATE_DIR: at("state"), NIX_CONF_DIR: at("conf"), INPUT: input };
  const line = ["-c", 'exec "$0" "$@" < "$INPUT"', command, ...words, ...options];
  return (await run("sh", line, { env, encoding: "utf8" })).stdout.trim();
}

const store = openStore(at("ours"));
const items = openItems(store, prefix);
mkdirSync(at("tree", "bin"), { recursive: true });
writeFileSync(at("tree", "bin", "hello"), "#!/bin/sh\necho hello\n", { mode: 0o755 });
symlinkSync("bin/hello", at("tree", "run"));
const tree = await items.addTree("tree", at("tree"));
const text = await items.addText("text", `see ${tree}`, [tree]);

test("nix copy fetches from our server what it needs and verifies our signature; from our folder too", async () => {
  for (const compression of ["zstd", "xz", "none"] as const) {
    const server = storeServer(store, items, { compression, priority: 5, secretKey: key.secret });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      await nix("nix", ["copy", "--from", address, "--to", `local?root=${at(`from-${compression}`)}`, text]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    await copyToFolder(items, [text], at(`folder-${compression}`), { compression, parallel: 1, secretKey: key.secret });
    const cache = `file://${at(`folder-${compression}`)}`;
    await nix("nix", ["copy", "--from", cache, "--to", `local?root=${at(`disk-${compression}`)}`, text]);
    for (const place of ["from", "disk"]) {
      const root = `${place}-${compression}`;
      assert.equal(narHash(at(root, tree)).sha256, items.record(tree)!.narSha256);
      const references = await nix("nix-store", ["--store", `local?root=${at(root)}`, "--query", "--references", text]);
      assert.equal(references, tree);
      await nix("nix-store", ["--store", `local?root=${at(root)}`, "--verify", "--check-contents"]);
    }
  }
});

test("nix-store --import takes what we export, and we what it does; a cache of its making too", async () => {
  const records = [tree, text].map((path) => items.record(path)!);
  await pipeline(Readable.from(exportItems(items, records)), createWriteStream(at("ours.items")));
  const root = `local?root=${at("imported")}`;
  assert.deepEqual((await nix("nix-store", ["--store", root, "--import"], at("ours.items"))).split("\n"), [tree, text]);
  const theirs = await run("nix-store", ["--store", root, "--export", tree, text], {
    encoding: "buffer",
    env: { ...process.env, HOME: folder, NIX_STATE_DIR: at("state"), NIX_CONF_DIR: at("conf") },
  });
  assert.deepEqual(theirs.stdout, readFileSync(at("ours.items")));
  const back = openStore(at("back"));
  const backItems = openItems(back, prefix);
  assert.deepEqual(await importItems(back, backItems, createReadStream(at("ours.items"))), [tree, text]);
  assert.deepEqual(backItems.verify(), []);

  await nix("nix", ["copy", "--from", root, "--to", `file://${at("theirs")}?compression=xz`, text]);
  const fetched = openStore(at("fetched"));
  const fetchedItems = openItems(fetched, prefix);
  const caches = (keys: string[] | undefined) => [openBinaryCache(at("theirs"), keys?.map(readPublicKey))];
  assert.deepEqual(await createSubstituter(fetched, fetchedItems, caches([key.public])).substitute([text]), [text]);
  assert.deepEqual(await createSubstituter(fetched, fetchedItems, caches(undefined)).substitute([text]), []);
  assert.deepEqual(fetchedItems.verify(), []);
});
