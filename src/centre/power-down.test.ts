import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../base/error.ts";
import { smallCentre } from "../simulation/small-centre.testing.ts";
import { powerDown } from "./power-down.ts";

async function running(...given: Parameters<typeof smallCentre>) {
  const centre = smallCentre(...given);
  assert.equal((await centre.deploy()).result, "done");
  const told: string[] = [];
  const down = (options: { parallel?: number; forget?: boolean; guard?: () => void } = {}) =>
    centre.wait(
      powerDown(centre.hands().hypervisor, centre.desired().machines, {
        ...{ parallel: 4, forget: false, guard: () => {}, report: (path: string) => void told.push(path) },
        ...options,
      }),
    );
  return { centre, told, down };
}

test("later waves go first; once more tells that they were off", async () => {
  const { centre, told, down } = await running({ db: { wave: 0 }, "web-1": { wave: 2 }, "web-2": { wave: 2 } });
  const first = await down({ parallel: 1 });
  assert.deepEqual(told, ["web-1", "web-2", "db"]);
  assert.deepEqual(
    first.map(({ path, how }) => `${path} ${how}`),
    ["web-1 graceful", "web-2 graceful", "db graceful"],
  );
  assert.equal(centre.machine("db").power, "off");
  assert.deepEqual(new Set((await down()).map(({ how }) => how)), new Set(["was-off"]));
});

test("a machine that is not there is no trouble; what is forgotten keeps its disks", async () => {
  const { centre, down } = await running({ web: {} });
  const images = [...centre.world.images.keys()];
  assert.deepEqual(await down({ forget: true }), [{ path: "web", how: "graceful" }]);
  assert.equal(centre.machine("web"), undefined);
  assert.deepEqual([...centre.world.images.keys()], images);
  assert.deepEqual(await down({ forget: true }), [{ path: "web" }]);
});

test("nothing is begun once nothing may be changed; what fails says why and stops no other", async () => {
  const { centre, down } = await running({ a: {}, b: {}, c: {} });
  let asked = 0;
  const guard = () => {
    if (++asked === 2) throw failure("lease-lost", "the lease is lost");
  };
  const outcomes = await down({ parallel: 1, guard });
  assert.deepEqual(
    outcomes.map(({ path, how, trouble }) => `${path} ${how ?? trouble}`),
    ["a graceful", "b the lease is lost", "c graceful"],
  );
  assert.equal(centre.machine("b").power, "on");
});
