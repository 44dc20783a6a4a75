// One step of bench/store.ts, in a process of its own, so that its memory can be seen.
import { createHash } from "node:crypto";
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { addTools, scripts } from "../src/store/build-place.testing.ts";
import { openItems } from "../src/store/items.ts";
import { narHash, writeNar } from "../src/store/nar.ts";
import { readDerivation, realise } from "../src/store/realise.ts";
import { restoreNar } from "../src/store/restore-nar.ts";
import { runInSandbox } from "../src/store/sandbox.ts";
import { openStore } from "../src/store/store.ts";

const [step, from, to] = process.argv.slice(2) as [string, string, string];
const steps: Readonly<Record<string, () => unknown>> = { hash: () => narHash(from), write, restore, builds, sandboxes };
await steps[step]!();

function write(): void {
  const file = openSync(to, "w");
  const hash = createHash("sha256");
  writeNar(from, (piece) => {
    hash.update(piece);
    writeSync(file, piece);
  });
  closeSync(file);
}

async function restore(): Promise<void> {
  await restoreNar(createReadStream(from, { highWaterMark: 1 << 20 }), to);
}

/** Each derivation needs the one before it to be built; its output does not refer to it, or later ones would see them all. */
async function builds(): Promise<void> {
  mkdirSync(from);
  const store = openStore(join(from, "store"));
  const items = openItems(store);
  const script = scripts(items, await addTools(items, from));
  let last: string | undefined;
  for (let i = 0; i < Number(to); i++) {
    const before = last === undefined ? undefined : readDerivation(items, last).outputs.get("out")!.path;
    last = await script(`step-${i}`, `read line < ${before ?? "/dev/null"} || true; echo ${i} > $out`, {
      ...(last !== undefined && { inputDerivations: new Map([[last, ["out"]]]) }),
    });
  }
  await realise(store, items, [last!]);
}

async function sandboxes(): Promise<void> {
  mkdirSync(from);
  const store = openStore(join(from, "store"));
  const items = openItems(store);
  const root = items.physicalPath(await addTools(items, from));
  for (let i = 0; i < Number(to); i++) {
    const work = join(from, `work-${i}`);
    mkdirSync(work);
    await runInSandbox({
      root,
      binds: [{ from: work, to: "/build", writable: true }],
      command: ["/usr/bin/sh", "-e", "-c", "echo first > /build/out"],
      timeoutSeconds: 60,
    });
  }
}
