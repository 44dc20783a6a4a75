import assert from "node:assert/strict";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { modify, modifyServices, remove } from "./modify-services.ts";
import { factsOf, locationOf } from "./record.ts";
import { extend, hasDefaultInstance, service, serviceType, simpleService } from "./service-type.ts";

const words = serviceType<{ items?: readonly string[] }, readonly string[]>({
  name: "words",
  description: "Gathers words.",
  options: { items: "The words." },
  defaults: { items: [] },
  extend: ({ items }, received) => ({ items: [...items, ...received.flatMap(({ value }) => value)] }),
});

const greeter = serviceType<{ name: string; port?: number }>({
  name: "greeter",
  description: "Greets.",
  options: { name: "Whom to greet.", port: "TCP port." },
  defaults: { port: 80 },
  extensions: [extend(words, ({ name, port }) => [`${name}:${port}`])],
});

const getty = serviceType<{ line: string }>({
  name: "getty",
  description: "A login prompt.",
  options: { line: "The terminal." },
  defaults: {},
  instanceName: ({ line }) => line,
});

test("a type makes services with defaults, by calling it or by service()", () => {
  const one = greeter({ name: "bob" });
  assert.deepEqual(one.options, { name: "bob", port: 80 });
  assert.deepEqual(service(greeter, { name: "bob" }).options, one.options);
  assert.equal(one.name, "greeter");
  assert.equal(greeter.name, "greeter");
  assert.match(locationOf(one)?.file ?? "", /service-type\.test\.ts$/);
  assert.equal(getty({ line: "ttyS0" }).name, "getty@ttyS0");
  assert.throws(() => Object.assign(one.options, { port: 1 }), TypeError);
});

test("only a type whose options all have defaults can be made up", () => {
  assert.equal(hasDefaultInstance(words), true);
  assert.equal(hasDefaultInstance(greeter), false);
});

test("extending a type that takes nothing fails where it is defined, naming both places", () => {
  // @ts-expect-error greeter takes no contributions
  const attempts = [() => extend(greeter, () => ["x"]), () => simpleService("x", greeter, ["x"])];
  for (const attempt of attempts) {
    assert.throws(attempt, (error: unknown) => {
      assert.ok(error instanceof MesoError);
      assert.equal(error.code, "not-extensible");
      assert.ok(error.problems[0]?.where && error.problems[0].also);
      return true;
    });
  }
});

test("modifyServices changes all services of a type and keeps their order", () => {
  const list = [greeter({ name: "a" }), words(), greeter({ name: "b", port: 1 })];
  const changed = modifyServices(
    list,
    modify(greeter, (old) => ({ port: old.port + 1 })),
    modify(greeter, { name: "z" }),
  );
  assert.deepEqual(
    changed.map(({ name, options }) => [name, options.port]),
    [
      ["greeter", 81],
      ["words", undefined],
      ["greeter", 2],
    ],
  );
  assert.equal(changed[0]?.options.name, "z");
  assert.deepEqual(list[0]?.options, { name: "a", port: 80 });
  assert.ok(factsOf(changed[0])?.inheritedFrom);
  assert.deepEqual(
    modifyServices(list, remove(greeter)).map(({ name }) => name),
    ["words"],
  );
});

test("an instance's name follows its options", () => {
  const [changed] = modifyServices([getty({ line: "tty1" })], modify(getty, { line: "tty2" }));
  assert.equal(changed?.name, "getty@tty2");
});

test("modifying what is not there names what is", () => {
  const greetar = serviceType({ name: "greetar", description: "", options: {}, defaults: {} });
  assert.throws(
    () => modifyServices([greeter({ name: "a" })], remove(greetar)),
    (error: unknown) => {
      assert.ok(error instanceof MesoError);
      assert.equal(error.code, "no-such-service");
      assert.equal(error.problems[0]?.hint, "did you mean greeter?");
      assert.match(error.problems[0]?.where?.file ?? "", /service-type\.test\.ts$/);
      return true;
    },
  );
});

test("modifying what an earlier clause removed names both places", () => {
  assert.throws(
    () => modifyServices([greeter({ name: "a" })], remove(greeter), modify(greeter, { port: 3 })),
    (error: unknown) => {
      assert.ok(error instanceof MesoError);
      assert.equal(error.code, "service-removed");
      const { where, also } = error.problems[0]!;
      assert.ok(where!.column > also!.column || where!.line > also!.line);
      return true;
    },
  );
});
