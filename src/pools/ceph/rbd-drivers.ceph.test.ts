import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { type CephCluster, startCephCluster } from "../../test-support/ceph-cluster.ts";
import { withBaseLock } from "./base-lock.ts";
import { CephRefusal, errnos } from "./ceph-failure.ts";
import { breakObjectLock, objectLock } from "./object-lock.ts";
import { joined } from "./ranges.ts";
import { rbdCommands } from "./rbd-commands.ts";
import { type DiskChange, objectBytes, type RbdDriver } from "./rbd-driver.ts";
import { rbdHelper } from "./rbd-helper.ts";
import { cephRunner } from "./run-ceph.ts";

const pool = "rbd";
const size = 9 * objectBytes + 8192;
const { signal } = new AbortController();

describe("both ways to speak RBD do the same", () => {
  let cluster: CephCluster;
  before(async () => {
    cluster = await startCephCluster({ watchSeconds: 5 });
  });
  after(() => cluster?.stop());
  const settings = (more = {}) => ({
    pool,
    machinePool: pool,
    user: "admin",
    configuration: cluster.configuration,
    ...more,
  });
  const drivers: Readonly<Record<string, (more?: object) => RbdDriver>> = {
    helper: (more) => rbdHelper(settings(more), "the pool"),
    commands: (more) => rbdCommands(cephRunner(settings(more), "the pool")),
  };
  let files = 0;
  const exported = async (image: string): Promise<Buffer> => {
    const file = join(dirname(cluster.configuration), `export-${files++}`);
    await cluster.run("rbd", ["export", "--no-progress", `${pool}/${image}`, file]);
    return readFileSync(file);
  };

  for (const [kind, driver] of Object.entries(drivers)) {
    const base = { pool, image: `${kind}-base` };
    const child = { pool, image: `${kind}-child` };
    const model = Buffer.alloc(size);
    const put = (start: number, length: number, byte: number): void => void model.fill(byte, start, start + length);
    const read: DiskChange["read"] = ({ start, length }) => model.subarray(start, start + length);

    describe(kind, () => {
      it("writes a base, and a clone with blocks of its own and zeros over the base's", async () => {
        const rbd = driver();
        await rbd.create(base, size);
        put(4096, 8192, 1);
        put(objectBytes, objectBytes, 2);
        put(size - 4096, 4096, 3);
        const writes = [
          { start: 4096, length: 8192 },
          { start: objectBytes, length: objectBytes },
          { start: size - 4096, length: 4096 },
        ];
        await rbd.write(base, { size, snapshot: "one", zeros: [], writes, read, signal });
        assert.deepEqual(await exported(base.image), model);

        await rbd.clone({ ...base, snapshot: "one" }, child);
        put(4096, 4096, 0);
        put(objectBytes, objectBytes, 0);
        put(objectBytes - 4096, 4096, 4);
        put(2 * objectBytes + 4096, 12288, 5);
        put(2 * objectBytes + 40960, 4096, 6);
        // Objects that are no neighbours: their marks in the object map are set one by one.
        put(5 * objectBytes, 4096, 7);
        put(7 * objectBytes + 8192, 4096, 8);
        await rbd.write(child, {
          size,
          snapshot: "done",
          about: '{"a":"ä b"}',
          zeros: [
            { start: 4096, length: 4096 },
            { start: objectBytes, length: objectBytes },
          ],
          writes: [{ start: objectBytes - 4096, length: 4096 }],
          fresh: [
            { start: 2 * objectBytes + 4096, length: 12288 },
            { start: 2 * objectBytes + 40960, length: 4096 },
            { start: 5 * objectBytes, length: 4096 },
            { start: 7 * objectBytes + 8192, length: 4096 },
          ],
          read,
          signal,
        });
        assert.deepEqual(await exported(child.image), model);
        // The check says nothing, but marks a map that is wrong.
        for (const { image } of [base, child]) {
          await cluster.run("rbd", ["object-map", "check", "--no-progress", `${pool}/${image}`]);
          const info = await cluster.run("rbd", ["info", "--format", "json", `${pool}/${image}`]);
          assert.deepEqual((JSON.parse(info) as { flags: string[] }).flags, [], image);
        }
        // What is written goes with the image.
        const [found] = await rbd.images(pool, [child.image, "absent"]);
        assert.deepEqual(found, {
          name: child.image,
          size,
          about: '{"a":"ä b"}',
          parent: { ...base, snapshot: "one" },
          snapshots: ["done"],
        });
      });

      it("tells what changed, who clones, what is used and who watches", async () => {
        const rbd = driver();
        put(8192, 4096, 7);
        await rbd.write(base, {
          size,
          since: "one",
          snapshot: "two",
          zeros: [],
          writes: [{ start: 8192, length: 4096 }],
          read: () => Buffer.alloc(4096, 7),
          signal,
        });
        assert.deepEqual(await rbd.changes(base, "one"), [{ start: 8192, length: 4096 }]);
        assert.deepEqual(await rbd.changes(base, "two"), []);
        // Since its beginning: all of each object up to what was written last in it.
        assert.deepEqual(joined(await rbd.changes(base, undefined)), [
          { start: 0, length: 12288 },
          { start: objectBytes, length: objectBytes },
          { start: 9 * objectBytes, length: 8192 },
        ]);
        assert.deepEqual(await rbd.children(base), [`${pool}/${child.image}`]);
        assert.deepEqual(await rbd.childrenOf({ ...base, snapshot: "one" }), [`${pool}/${child.image}`]);
        assert.deepEqual(await rbd.childrenOf({ ...base, snapshot: "two" }), []);
        assert.ok((await rbd.usage(base)) >= objectBytes);
        assert.deepEqual(await rbd.watchers(base), []);
        assert.ok((await rbd.names(pool)).includes(child.image));
      });

      it("refuses with the same numbers", async () => {
        const rbd = driver();
        const absent = { pool, image: "absent" };
        const change = { size, zeros: [], writes: [], read, signal };
        await refused(rbd.create(base, size), errnos.exists);
        await refused(rbd.clone({ ...base, snapshot: "none" }, absent), errnos.missing);
        await refused(rbd.clone({ ...base, snapshot: "one" }, child), errnos.exists);
        await refused(rbd.setAbout(absent, "{}"), errnos.missing);
        await refused(rbd.rename(absent, "other"), errnos.missing);
        await refused(rbd.rename(child, base.image), errnos.exists);
        await refused(rbd.remove(absent), errnos.missing);
        await refused(rbd.remove(base), errnos.notEmpty);
        await refused(rbd.createSnapshot({ ...base, snapshot: "one" }), errnos.exists);
        await refused(rbd.removeSnapshot({ ...base, snapshot: "none" }), errnos.missing);
        await refused(rbd.rollBack({ ...base, snapshot: "none" }), errnos.missing);
        await refused(rbd.watchers(absent), errnos.missing);
        await refused(rbd.write(base, { ...change, since: "none", snapshot: "three" }), errnos.invalid);
        await refused(rbd.write(base, { ...change, since: "one", snapshot: "two" }), errnos.exists);
      });

      it("makes no snapshot of what was not written to its end", async () => {
        const rbd = driver();
        const controller = new AbortController();
        const interrupted = rbd.write(child, {
          size,
          snapshot: "half",
          zeros: [],
          writes: [
            { start: 0, length: 4096 },
            { start: objectBytes, length: objectBytes },
          ],
          read: ({ start, length }) => {
            if (start > 0) controller.abort();
            return Buffer.alloc(length, 9);
          },
          signal: controller.signal,
        });
        await assert.rejects(interrupted);
        assert.deepEqual((await rbd.images(pool, [child.image]))[0]?.snapshots, ["done"]);
        await rbd.rollBack({ ...child, snapshot: "done" });
        put(8192, 4096, 1);
        assert.deepEqual(await exported(child.image), model);
      });

      it("keeps objects and their entries", async () => {
        const rbd = driver();
        const object = `${kind}-object`;
        assert.equal(await rbd.readObject(pool, object), undefined);
        assert.equal((await rbd.entries(pool, object)).size, 0);
        const bytes = Buffer.alloc(9 << 20, kind);
        await rbd.writeObject(pool, object, bytes);
        assert.ok((await rbd.readObject(pool, object))!.equals(bytes));
        await rbd.writeObject(pool, object, Buffer.alloc(0));
        assert.equal((await rbd.readObject(pool, object))!.length, 0);
        await rbd.setEntry(pool, object, "b", '{"x": "ä\'"}');
        await rbd.setEntry(pool, object, "a", "");
        await rbd.setEntry(pool, object, "c", "y".repeat(200));
        await rbd.removeEntries(pool, object, ["c", "d"]);
        const entries = await rbd.entries(pool, object);
        assert.deepEqual(
          [...entries].map(([key, value]) => [key, value.toString()]),
          [
            ["a", ""],
            ["b", '{"x": "ä\'"}'],
          ],
        );
        await rbd.removeObject(pool, object);
        await rbd.removeObject(pool, object);
        assert.equal(await rbd.readObject(pool, object), undefined);
      });

      it("gives a lock to one, who alone gives it back", async () => {
        const [one, other] = [driver(), driver()];
        const place = { pool, object: `${kind}-locked`, name: "writer" };
        assert.ok(await one.lock(place, "a", "it's ä"));
        assert.ok(!(await one.lock(place, "b", "")));
        assert.ok(!(await other.lock(place, "a", "")));
        const run = cephRunner(settings(), "the pool");
        const held = await objectLock(run, place);
        assert.deepEqual([held?.cookie, held?.description], ["a", "it's ä"]);
        assert.ok(!(await other.unlock(place, "b")));
        assert.ok(await one.unlock(place, "a"));
        assert.ok(!(await one.unlock(place, "a")));
        assert.ok(await other.lock(place, "c", ""));
        await breakObjectLock(run, place, (await objectLock(run, place))!);
        assert.ok(!(await other.unlock(place, "c")));
        await one.removeObject(pool, place.object);
      });

      it("does not keep the lock of a base when the process that took it was replaced", async () => {
        const run = cephRunner(settings(), "the pool");
        const image = `${kind}-replaced`;
        let rbd = driver();
        const context = { settings: settings(), title: "the pool", run, rbd: () => Promise.resolve(rbd) };
        const place = { pool, object: `${image}.lock`, name: "writer" };
        await withBaseLock(context, { pool, image }, signal, async () => {
          assert.ok(await objectLock(run, place));
          rbd = driver();
        });
        assert.equal(await objectLock(run, place), undefined);
        await rbd.removeObject(pool, place.object);
      });

      it("flattens, takes snapshots back and removes", async () => {
        const rbd = driver();
        await rbd.removeSnapshot({ ...child, snapshot: "done" });
        await rbd.flatten(child);
        assert.equal((await rbd.images(pool, [child.image]))[0]?.parent, undefined);
        assert.deepEqual(await exported(child.image), model);
        await rbd.rename(child, `${kind}-renamed`);
        await rbd.remove({ pool, image: `${kind}-renamed` });
        for (const snapshot of ["one", "two"]) await rbd.removeSnapshot({ ...base, snapshot });
        await rbd.remove(base);
        assert.deepEqual(await rbd.names(pool), []);
      });

      it("says why there is no cluster, pool or user, in time and without secrets", async () => {
        const unreachable: [object, string][] = [
          [{ configuration: "/nowhere/ceph.conf" }, pool],
          [{ user: "nobody" }, pool],
          [{ keyring: "/nowhere/keyring" }, pool],
          [{}, "absent"],
        ];
        for (const [more, where] of unreachable) {
          const error = await driver(more)
            .names(where)
            .then(
              () => assert.fail(JSON.stringify(more)),
              (reason: unknown) => reason,
            );
          assert.ok(
            error instanceof MesoError && error.code === "pool-unreachable",
            `${JSON.stringify(more)}: ${error}`,
          );
          assert.doesNotMatch(error.message, /key = |AQ[A-Za-z0-9+/]{20}/);
        }
      });
    });
  }
});

async function refused(call: Promise<unknown>, errno: number): Promise<void> {
  const outcome = await call.then(
    () => "done",
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof CephRefusal, `${outcome}`);
  assert.equal(outcome.errno, errno, outcome.message);
}
