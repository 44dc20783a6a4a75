import assert from "node:assert/strict";
import { it } from "node:test";
import type { PublishSources } from "../pool.ts";
import { extendBase } from "./base-image.ts";
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
