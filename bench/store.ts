// npm run bench -- store: archives of a gigabyte beside `tar | sha256sum`, what the scheduler adds to a build, and a
// registry of 100,000 items. Nothing here is asserted: the numbers are for docs/performance.md.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { canonicalJson } from "../src/base/canonical.ts";
import { sha256 } from "../src/base/hash.ts";
import { formatBytes } from "../src/base/progress.ts";
import type { ItemRecord } from "../src/store/item-record.ts";
import { openItems } from "../src/store/items.ts";
import { removeTree } from "../src/store/remove-tree.ts";
import { addRoot } from "../src/store/roots.ts";
import { openStore } from "../src/store/store.ts";
import { storePath } from "../src/store/store-path.ts";
import { type Cost, measure, median, table } from "./measure.ts";

const folder = mkdtempSync(join(process.env.MESO_BENCH_FOLDER ?? tmpdir(), "meso-bench-store-"));
process.on("exit", () => removeTree(folder));
const at = (...names: string[]) => join(folder, ...names);
const project = join(import.meta.dirname, "..");
const step = (name: string, ...words: string[]) =>
  measure([process.execPath, join(import.meta.dirname, "store-steps.ts"), name, ...words]);
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, Node ${process.version}\n`);

// Builds first: what the others leave for the disk to do would be waited for by whoever syncs after them.
builds();
archives();
await registry();

/** A gigabyte: half of it in large files, half in small ones. */
function archives(): void {
  const block = Buffer.alloc(1 << 20);
  for (let i = 0; i < block.length; i += 4) block.writeUInt32LE(Math.imul(i + 1, 0x9e3779b1) >>> 0, i);
  mkdirSync(at("tree"));
  for (let i = 0; i < 4; i++) writeFileSync(at("tree", `large-${i}`), Buffer.concat(Array(128).fill(block)));
  for (let i = 0; i < 64; i++) {
    mkdirSync(at("tree", `folder-${i}`));
    for (let j = 0; j < 64; j++) writeFileSync(at("tree", `folder-${i}`, `${j}`), block.subarray(0, 128 << 10));
  }
  const peer = median(3, () => measure(["sh", "-c", `tar -C ${at("tree")} -c . | sha256sum`]));
  const ratio = (cost: Cost) => (cost.wallSeconds / peer.wallSeconds).toFixed(2);
  const row = (what: string, cost: Cost, against = true) => [
    what,
    cost.wallSeconds.toFixed(2),
    cost.cpuSeconds.toFixed(2),
    formatBytes(cost.peakBytes),
    against ? ratio(cost) : "",
  ];
  mkdirSync(at("small"));
  for (let i = 0; i < 64; i++) writeFileSync(at("small", `${i}`), block);
  const rows = [
    row("tar of a tree of 1 GiB into sha256sum", peer, false),
    row(
      "its archive hashed",
      median(3, () => step("hash", at("tree"))),
    ),
    row(
      "its archive written and hashed",
      median(3, () => step("write", at("tree"), at("tree.nar"))),
    ),
    row(
      "the archive hashed and restored",
      median(
        3,
        () => step("restore", at("tree.nar"), at("restored")),
        () => removeTree(at("restored")),
      ),
    ),
  ];
  console.log(`${table(["what", "wall s", "CPU s", "peak", "ratio (aim ≤ 2)"], rows)}\n`);
  for (const name of ["tree", "restored", "tree.nar"]) removeTree(at(name));
}

/** Records alone: the registry's size is what counts. */
async function registry(): Promise<void> {
  const store = openStore(at("many"));
  const items = openItems(store);
  const before = await registering("a");
  const count = 100_000;
  const paths: string[] = [];
  for (let i = 0; i < count; i++) {
    const path = storePath("output:out", sha256(`${i}`), `package-${i}`);
    const references = [i - 10, Math.floor(i / 20) * 10 + (i % 10)]
      .filter((j) => j >= 0 && j < i)
      .map((j) => paths[j]!);
    const record: ItemRecord = {
      ...{ path, narSha256: sha256(path), narSize: 1000 + i, references: [...new Set(references)].sort() },
      ...{ deriver: `${path}.drv`, registeredSeconds: i },
    };
    writeFileSync(at("many", "records", basename(path)), canonicalJson(record));
    paths.push(path);
  }
  for (let i = 0; i < 200; i++) await addRoot(store, items, `root ${i}`, paths[count - 1 - i * 10]!);
  const after = await registering("b");
  store.release();
  const command = [process.execPath, join(project, "bin/meso.mjs"), "gc", "--dry-run", "--store", at("many")];
  const dry = median(3, () => measure(command));
  const rows = [
    ["meso gc --dry-run, 100,000 items, 200 roots", `${dry.wallSeconds.toFixed(2)} s`, "< 5 s"],
    ["  its peak of memory", formatBytes(dry.peakBytes), ""],
    ["an item registered, none there", `${before.toFixed(2)} ms`, ""],
    ["an item registered, 100,000 there", `${after.toFixed(2)} ms`, "the same"],
  ];
  console.log(`${table(["what", "cost", "aim"], rows)}\n`);

  async function registering(mark: string): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < 200; i++) {
      const start = performance.now();
      await items.addText(`text-${mark}`, `${mark}${i}`);
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[100]!;
  }
}

function builds(): void {
  const count = 100;
  const graph = median(
    3,
    () => step("builds", at("builds"), String(count)),
    () => removeTree(at("builds")),
  );
  removeTree(at("builds"));
  const bare = median(
    3,
    () => step("sandboxes", at("builds"), String(count)),
    () => removeTree(at("builds")),
  );
  const each = (cost: Cost) => ((cost.wallSeconds * 1000) / count).toFixed(1);
  const rows = [
    [`${count} derivations in a row, one after the other`, each(graph)],
    ["the same commands in sandboxes, without the store", each(bare)],
    ["what the scheduler and the store add (aim < 30)", (Number(each(graph)) - Number(each(bare))).toFixed(1)],
  ];
  console.log(`${table(["what", "ms each"], rows)}\n`);
}
