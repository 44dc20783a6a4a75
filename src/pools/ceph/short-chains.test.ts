import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutText } from "../about.ts";
import { plainAbout } from "../pool-sample.testing.ts";
import type { CephContext } from "./context.ts";
import { cloneImage, longestChain } from "./images.ts";
import type { RbdDriver, SnapshotSpec, StoredImage } from "./rbd-driver.ts";
import { shortenChains } from "./sweep.ts";

// That RBD flattens what it is told to is tested on a real cluster; here, which images are told to.

const snapshot = "s";
const about = plainAbout("trial");

/** What stands on what, without a cluster. */
function chains() {
  const images = new Map<string, StoredImage>();
  const flattened: string[] = [];
  const add = (name: string, on: string | undefined, isOurs = true) => {
    const parent: SnapshotSpec | undefined = on === undefined ? undefined : { pool: "vms", image: on, snapshot };
    images.set(name, { name, size: 1, about: isOurs ? aboutText(about) : undefined, parent, snapshots: [snapshot] });
  };
  const rbd: Partial<RbdDriver> = {
    names: async () => [...images.keys()],
    images: async (_pool, names) => names.flatMap((name) => images.get(name) ?? []),
    clone: async (parent, child) => add(child.image, parent.image),
    setAbout: async () => {},
    rename: async (from, to) => {
      images.set(to, { ...images.get(from.image)!, name: to });
      images.delete(from.image);
    },
    // What tells whose name it is: see `renameImage`.
    readObject: async () => Buffer.from("id"),
    flatten: async ({ image }) => {
      images.set(image, { ...images.get(image)!, parent: undefined });
      flattened.push(image);
    },
  };
  const driver = rbd as RbdDriver;
  const context: CephContext = {
    settings: { pool: "vms", machinePool: "vms", user: "admin" },
    title: "a pool",
    rbd: async () => driver,
    run: () => Promise.reject(new Error("nothing is run")),
  };
  /** `name-0` stands on nothing, the others on the one before. */
  const grow = (name: string, levels: number, isOurs = true) => {
    for (let level = 0; level <= levels; level++) {
      add(`${name}-${level}`, level === 0 ? undefined : `${name}-${level - 1}`, isOurs);
    }
  };
  return { images, flattened, context, driver, grow };
}

test("a clone is flattened as it is made when more images than four would stand above it", async () => {
  const { images, flattened, context, grow } = chains();
  grow("root", longestChain);
  await cloneImage(context, { image: `root-${longestChain - 1}`, snapshot }, "short", about);
  assert.deepEqual(flattened, []);
  assert.equal(images.get("short")?.parent?.image, `root-${longestChain - 1}`);
  await cloneImage(context, { image: `root-${longestChain}`, snapshot }, "long", about);
  assert.equal(flattened.length, 1);
  assert.equal(images.get("long")?.parent, undefined);
  assert.equal(longestChain, 4, "as docs/pools.md says");
});

test("longer ones are flattened by the housekeeping, other people's never", async () => {
  const { images, flattened, driver, grow } = chains();
  grow("ours", longestChain + 1);
  grow("theirs", longestChain + 2, false);
  await shortenChains(driver, "vms", [...images.keys()]);
  assert.deepEqual(flattened, [`ours-${longestChain + 1}`]);
});
