import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { sha256 } from "../base/hash.ts";
import { accountNumber, drawnAccountNumber, knownAccounts, ownerOfNumber } from "./account-numbers.ts";

for (const [kind, master] of [
  ["user", "passwd.master"],
  ["group", "group.master"],
] as const) {
  const path = `/usr/share/base-passwd/${master}`;
  test(`${kind}s of ${master} have Debian's numbers`, { skip: !existsSync(path) }, () => {
    const lines = readFileSync(path, "utf8").trim().split("\n");
    for (const [name, , number] of lines.map((line) => line.split(":"))) {
      assert.equal(accountNumber(kind, name!), Number(number), name);
    }
  });
}

test("every known account has one number of its own, none of them a person's", () => {
  for (const kind of ["user", "group"] as const) {
    const names = knownAccounts(kind);
    const numbers = names.map((name) => accountNumber(kind, name)!);
    assert.equal(new Set(numbers).size, new Set(names).size);
    for (const number of numbers) assert.ok(number < 1000 || number >= 60000, String(number));
    for (const name of names) assert.equal(ownerOfNumber(kind, accountNumber(kind, name)!), name);
  }
});

// Data volumes carry these numbers: this test fails when a line of the registry is moved or taken away.
test("numbers given out stay as they are", () => {
  const given = { "systemd-journal": 101, "systemd-network": 102, messagebus: 114, sshd: 115, _ssh: 116, _chrony: 117 };
  for (const [name, number] of Object.entries(given)) assert.equal(accountNumber("user", name), number, name);
  assert.equal(accountNumber("user", "slurm"), 64030);
  const registered = knownAccounts("user").filter((name) => {
    const number = accountNumber("user", name)!;
    return number > 100 && number < 1000;
  });
  const digest = "dc9777ed5acb93046d31b1e642d45f1d1aff5cf269472da6e5994eb976a9d786";
  assert.equal(sha256(registered.slice(0, 188).join()), digest);
});

test("names that nobody numbered ask the operating system's own list", () => {
  assert.equal(accountNumber("user", "mydaemon"), undefined);
  assert.equal(accountNumber("user", "mydaemon", { mydaemon: 950 }), 950);
  assert.equal(accountNumber("user", "toString"), undefined);
  assert.equal(accountNumber("user", "sshd", { sshd: 950 }), 115);
});

test("a person's number is drawn from the name alone", () => {
  assert.equal(drawnAccountNumber("alice"), drawnAccountNumber("alice"));
  assert.notEqual(drawnAccountNumber("alice"), drawnAccountNumber("bob"));
  for (const name of ["a", "root", "x".repeat(32)]) {
    const number = drawnAccountNumber(name);
    assert.ok(number >= 10000 && number <= 59999);
  }
});
