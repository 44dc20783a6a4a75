import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { failure } from "../base/error.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import type { Service } from "../language/service-type.ts";
import { extend, serviceType, simpleService } from "../language/service-type.ts";
import { connectServices, foldServices } from "./fold.ts";

const system = {} as OperatingSystem;

interface Items {
  items?: readonly string[];
}

function gathering(
  name: string,
  extensions: Parameters<typeof serviceType<Items, readonly string[]>>[0]["extensions"] = [],
) {
  return serviceType<Items, readonly string[]>({
    name,
    description: "",
    options: { items: "" },
    defaults: { items: [] },
    extend: ({ items }, received) => ({
      items: [...items, ...received.flatMap(({ value, origin }) => value.map((item) => `${origin.by}:${item}`))],
    }),
    extensions,
  });
}

const root = gathering("root");
const middle = gathering("middle", [extend(root, ({ items }) => items)]);

function folded(services: readonly Service[]) {
  const connected = connectServices(services);
  const { options, problems } = foldServices(connected, root, system);
  return { items: (options as Required<Items> | undefined)?.items, problems: [...connected.problems, ...problems] };
}

test("contributions flow through types that nobody listed, to the root", () => {
  const { items, problems } = folded([simpleService("a", middle, ["1", "2"])]);
  assert.deepEqual(items, ["middle:a:1", "middle:a:2"]);
  assert.deepEqual(problems, []);
});

test("own options come before what is received, which is sorted by sender", () => {
  const services = [simpleService("z", root, ["1"]), simpleService("a", root, ["2"]), root({ items: ["own"] })];
  assert.deepEqual(folded(services).items, ["own", "a:2", "z:1"]);
});

test("any listing order gives the same result", () => {
  const services = ["b", "a", "d", "c"].map((name, index) => simpleService(name, index % 2 ? root : middle, [name]));
  const expected = folded(services);
  fc.assert(
    fc.property(fc.shuffledSubarray(services, { minLength: services.length }), (shuffled) => {
      assert.deepEqual(folded(shuffled), expected);
    }),
  );
});

test("a service is folded once, however many types it extends", () => {
  let calls = 0;
  const twice = serviceType<{ a?: number }, string>({
    name: "twice",
    description: "",
    options: { a: "" },
    defaults: { a: 1 },
    extend: (options) => {
      calls++;
      return options;
    },
    extensions: [extend(root, () => ["x"]), extend(middle, () => ["y"])],
  });
  const { items } = folded([twice(), simpleService("s", twice, "z")]);
  assert.deepEqual(items, ["middle:twice:y", "twice:x"]);
  assert.equal(calls, 1);
});

test("two services of one name are told with both places", () => {
  const { problems } = folded([simpleService("a", root, []), simpleService("a", middle, [])]);
  assert.equal(problems.length, 1);
  assert.equal(problems[0]?.code, "duplicate-service");
  assert.ok(problems[0]?.where && problems[0].also);
});

test("a target that cannot be made up is told with both types", () => {
  const needy = serviceType<{ key: string }, string>({
    name: "needy",
    description: "",
    options: { key: "" },
    defaults: {},
    extend: (options) => options,
  });
  const { problems } = folded([simpleService("a", needy, "x")]);
  assert.equal(problems[0]?.code, "missing-target");
  assert.match(problems[0]?.what ?? "", /^a extends needy/);
  assert.equal(problems[0]?.hint, "add needy({ key: … }) to the services");
  assert.deepEqual(folded([simpleService("a", needy, "x"), needy({ key: "k" })]).problems, []);
});

test("an ambiguous target is told with both instances", () => {
  const many = serviceType<{ id: string }, string>({
    name: "many",
    description: "",
    options: { id: "" },
    defaults: {},
    extend: (options) => options,
    instanceName: ({ id }) => id,
  });
  const { problems } = folded([many({ id: "one" }), many({ id: "two" }), simpleService("a", many, "x")]);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["ambiguous-target"],
  );
  assert.match(problems[0]?.what ?? "", /many@one and many@two/);
  assert.ok(problems[0]?.where && problems[0].also);
});

test("a service's own failure becomes a problem at its place, and the rest goes on", () => {
  const failing = serviceType({
    name: "failing",
    description: "",
    options: {},
    defaults: {},
    extensions: [
      extend(root, () => {
        throw failure("bad", "no good");
      }),
    ],
  });
  const { items, problems } = folded([failing(), simpleService("a", root, ["1"])]);
  assert.deepEqual(items, ["a:1"]);
  assert.equal(problems[0]?.code, "bad");
  assert.match(problems[0]?.where?.file ?? "", /fold\.test\.ts$/);
});
