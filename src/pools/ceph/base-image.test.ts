import assert from "node:assert/strict";
import { it } from "node:test";
import type { PublishSources } from "../pool.ts";
import { changeBase, extendBase } from "./base-image.ts";
import type { CephContext } from "./context.ts";
import type { RbdDriver } from "./rbd-driver.ts";

const snapshot = "00000001-1700000000-0123456789abcdef";
const image = { pool: "rbd", image: "base" };
const size = 1 << 30;

for (const [what, table] of Object.entries({ lost: undefined, damaged: Buffer.from("no table") })) {
  it(`a disk that shares nothing does not stand on a base whose table is ${what}`, async () => {
    const rbd: Partial<RbdDriver> = {
      images: async () => [{ name: image.image, size, snapshots: [snapshot], about: undefined, parent: undefined }],
      readObject: async () => table,
    };
    const context = { rbd: async () => rbd } as unknown as CephContext;
    const { base } = await extendBase(context, image, size, [new Map()], new Map(), {} as PublishSources);
    assert.deepEqual(base, { image, size, snapshot: undefined, places: new Map() });
  });
}

it("a base that somebody else has changed meanwhile is not changed from what it was", async () => {
  const writes: string[] = [];
  const rbd: Partial<RbdDriver> = {
    images: async () => [
      {
        ...{ name: image.image, size, about: undefined, parent: undefined },
        snapshots: [snapshot, "00000002-1700000001-0123456789abcdef"],
      },
    ],
    writeObject: async (_, name) => void writes.push(name),
    write: async () => void writes.push("image"),
  };
  const change = { zeros: [], writes: [], read: () => new Uint8Array(0), signal: new AbortController().signal };
  const current = { image, size, snapshot, places: new Map() };
  await assert.rejects(changeBase(rbd as RbdDriver, current, new Map(), change), { code: "image-in-use" });
  assert.deepEqual(writes, []);
});
