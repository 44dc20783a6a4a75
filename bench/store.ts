// npm run bench -- store: the registry of 100,000 items and its collection. Nothing here is asserted: the numbers are for
// docs/performance.md.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { canonicalJson } from "../src/base/canonical.ts";
import { sha256 } from "../src/base/hash.ts";
import { collectable } from "../src/store/collect.ts";
import type { ItemRecord } from "../src/store/item-record.ts";
import { openItems } from "../src/store/items.ts";
import { addRoot } from "../src/store/roots.ts";
import { openStore } from "../src/store/store.ts";
import { storePath } from "../src/store/store-path.ts";

const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), "meso-bench-store-"));
const store = openStore(folder);
const items = openItems(store);
const count = 100_000;
const paths: string[] = [];
for (let i = 0; i < count; i++) {
  const path = storePath("output:out", sha256(`${i}`), `package-${i}`);
  const references = [i - 10, Math.floor(i / 20) * 10 + (i % 10)].filter((j) => j >= 0 && j < i).map((j) => paths[j]!);
  const record: ItemRecord = {
    path,
    narSha256: sha256(path),
    narSize: 1000 + i,
    references: [...new Set(references)].sort(),
    deriver: `${path}.drv`,
    registeredSeconds: i,
  };
  writeFileSync(join(folder, "records", basename(path)), canonicalJson(record));
  paths.push(path);
}
for (let i = 0; i < 200; i++) await addRoot(store, items, `root ${i}`, paths[count - 1 - i * 300]!);
store.release();
for (let i = 0; i < 3; i++) {
  const t = performance.now();
  const found = collectable(store, items, { now: 1e9, graceSeconds: 0, unusedSeconds: 0 });
  console.log(found.marked.live.size, found.items.length, ((performance.now() - t) / 1000).toFixed(2));
}
rmSync(folder, { recursive: true });
