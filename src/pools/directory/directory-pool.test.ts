import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { poolSuite } from "../pool-suite.testing.ts";
import { directoryPool } from "./directory-pool.ts";

const opener = fileURLToPath(new URL("directory-pool.testing.ts", import.meta.url));

poolSuite(
  "a pool in a directory",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "meso-pool-"));
    return {
      pool: directoryPool(folder),
      opener,
      settings: folder,
      makeForeign: async (name) => {
        mkdirSync(join(folder, "images"), { recursive: true });
        writeFileSync(join(folder, "images", name), Buffer.alloc(1 << 20, "not ours"));
      },
      remove: async () => rmSync(folder, { recursive: true, force: true }),
    };
  },
  { kills: 10, snapshotsInUse: false, overheadPerImage: 200 * 1024 },
);
