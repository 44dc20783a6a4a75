import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sha256 } from "../base/hash.ts";
import type { PreparedSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import { smallCentre } from "../simulation/small-centre.testing.ts";
import { openStore } from "../store/store.ts";
import { writeSegment } from "../store/write-segment.ts";
import { estimateBytes } from "./estimate-bytes.ts";
import type { SystemDescription } from "./system-description.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-estimate-"));
const store = openStore(folder);
const session = { store, lockFile: join(folder, "meso.lock"), signal: new AbortController().signal } as BuildSession;
after(() => rmSync(folder, { recursive: true, force: true }));

const packageOf = (name: string, size: number) => ({ name, sha256: sha256(name), size });
const [libc, nginx, bind] = [packageOf("libc", 1_000_000), packageOf("nginx", 200_000), packageOf("bind", 300_000)];

function prepared(path: string, packages: readonly object[]): [string, PreparedSystem] {
  return [path, { systemHash: sha256(path), packages } as unknown as PreparedSystem];
}

test("what several machines get counts once, and what runs already not at all", async () => {
  const centre = smallCentre({ dns: {}, web: {} });
  const systems = new Map([prepared("dns", [libc, bind]), prepared("web", [libc, nginx])]);
  const all = await estimateBytes(session, await centre.plan(), systems, []);
  // Guessed from archives: three times their size, and 6 MB for each machine.
  assert.deepEqual(all, { shared: 4_500_000, own: 12e6, images: 2, isKnown: false });

  const running = [{ packages: [{ sha256: libc.sha256 }] }] as unknown as SystemDescription[];
  const update = await estimateBytes(session, await centre.plan(), systems, running);
  assert.equal(update.shared, 1_500_000);

  assert.equal((await centre.deploy()).result, "done");
  centre.change("web", { systemHash: sha256("web 2") });
  const one = await estimateBytes(session, await centre.plan(), systems, []);
  assert.deepEqual([one.images, one.shared], [1, 600_000], "dns has libc already");
  assert.deepEqual(
    await estimateBytes(session, await centre.plan({ only: ["dns"] }), systems, []),
    { shared: 0, own: 0, images: 0, isKnown: true },
    "nothing to publish is known to take nothing",
  );
});

test("what was imported is known to the byte", async () => {
  const bytes = Buffer.alloc(5000, 1);
  await writeSegment(store, nginx.sha256, [
    { kind: "file", path: "/usr/sbin/nginx", mode: 0o755, uid: 0, gid: 0, mtime: 1, bytes },
  ]);
  const centre = smallCentre({ web: {} });
  const { shared } = await estimateBytes(session, await centre.plan(), new Map([prepared("web", [nginx])]), []);
  assert.equal(shared, 8192, "in whole blocks of 4 KiB");
});
