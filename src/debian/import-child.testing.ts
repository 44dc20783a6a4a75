import { readFileSync } from "node:fs";
import { openStore, type Store } from "../store/store.ts";
import { importAll } from "./import-all.ts";
import type { DebianArchive } from "./import-batch.ts";

/**
 * A process that imports archives, for tests with several of them: `node FILE STORE LIST`, LIST being JSON.
 * Says "start" when it begins, then how many segments it wrote itself and the hashes of all.
 */
const [directory, list] = process.argv.slice(2) as [string, string];
const archives = JSON.parse(readFileSync(list, "utf8")) as DebianArchive[];
const opened = openStore(directory);
let written = 0;
const store: Store = {
  ...opened,
  newSegment: (id) => {
    written++;
    return opened.newSegment(id);
  },
};
process.stdout.write("start\n");
const tables = await importAll(store, archives);
process.stdout.write(JSON.stringify({ written, hashes: tables.map((table) => table.dataSha256) }));
