import assert from "node:assert/strict";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { addressNumber, isInside, parseNetwork, reverseName } from "./address.ts";
import { type Endpoint, endpoint, port } from "./endpoint.ts";
import { inventory } from "./inventory.ts";
import { network } from "./network.ts";

const cluster = network({
  name: "cluster",
  range: "10.141.0.0/16",
  range6: "2001:db8:1::/64",
  gateway: "10.141.255.252",
  nameServers: ["10.141.0.2"],
  domain: "cluster.example.org",
  mtu: 9000,
});
const dmz = network({ name: "dmz", range: "192.0.2.0/24" });

const { hosts, lines } = inventory({
  domain: "example.org",
  networks: { cluster, dmz },
  machines: {
    "ldap-1": { cluster: { v4: "10.141.0.11", v6: "2001:db8:1::11" } },
    gate: { dmz: "192.0.2.1", cluster: "10.141.0.1" },
  },
  aliases: { "ldap-1": ["ldap"] },
});

test("a machine is known by name, with its addresses and how to be in a network", () => {
  assert.equal(hosts.gate.address, "192.0.2.1");
  assert.deepEqual(hosts.gate.networks, ["dmz", "cluster"]);
  assert.deepEqual(hosts["ldap-1"].addressesIn("cluster"), ["10.141.0.11", "2001:db8:1::11"]);
  assert.deepEqual(hosts["ldap-1"].on("cluster"), {
    addresses: ["10.141.0.11/16", "2001:db8:1::11/64"],
    gateway: "10.141.255.252",
    nameServers: ["10.141.0.2"],
    searchDomains: ["cluster.example.org"],
    routes: [],
    mtu: 9000,
  });
  assert.deepEqual(
    lines.map(({ address, names }) => [address, ...names].join(" ")),
    [
      "10.141.0.11 ldap-1.example.org ldap-1 ldap",
      "2001:db8:1::11 ldap-1.example.org ldap-1 ldap",
      "192.0.2.1 gate.example.org gate",
      "10.141.0.1 gate.example.org gate",
    ],
  );
});

test("endpoints have a kind, and the port of it unless said otherwise", () => {
  const ldap = endpoint("ldap", hosts["ldap-1"]);
  assert.deepEqual(
    { ...ldap },
    { kind: "ldap", host: "ldap-1.example.org", hostName: "ldap-1", address: "10.141.0.11", port: 389 },
  );
  assert.equal(endpoint("ldap", hosts["ldap-1"], { port: port("ldap", 1389) }).port, 1389);
  assert.equal(endpoint("http", hosts.gate, { network: "cluster" }).address, "10.141.0.1");
});

test("a wrong machine, port, network or kind of endpoint does not compile", () => {
  const takesLdap = (_: Endpoint<"ldap">): void => {};
  // @ts-expect-error there is no such machine
  assert.throws(() => hosts["ldap-2"].address);
  // @ts-expect-error a port of another kind
  endpoint("ldap", hosts.gate, { port: port("http", 80) });
  // @ts-expect-error a plain number could be anything
  endpoint("ldap", hosts.gate, { port: 389 });
  // @ts-expect-error no such network
  endpoint("ldap", hosts.gate, { network: "clutser" });
  // @ts-expect-error no such kind
  endpoint("ldpa", hosts.gate);
  // @ts-expect-error another kind
  takesLdap(endpoint("http", hosts.gate));
  takesLdap(endpoint("ldap", hosts.gate));
  // @ts-expect-error a network that the inventory does not have
  assert.throws(() => inventory({ domain: "x.org", networks: { dmz }, machines: { a: { cluster: "10.141.0.1" } } }));
});

test("every wrong address and name is told at once", () => {
  const wrong = () =>
    inventory({
      domain: "example.org",
      networks: { dmz },
      machines: {
        a: { dmz: "192.0.2.7" },
        b: { dmz: "192.0.2.7" },
        c: { dmz: "192.0.3.7" },
        "d.e": { dmz: "192.0.2.8" },
        f: {},
      },
    });
  assert.throws(wrong, (error: unknown) => {
    assert.ok(error instanceof MesoError);
    const codes = error.problems.map(({ code }) => code).sort();
    assert.deepEqual(codes, ["missing-field", "same-address", "wrong-address", "wrong-host-name"]);
    assert.ok(error.problems.every(({ where }) => where?.file.endsWith("inventory.test.ts")));
    return true;
  });
});

test("networks and addresses are numbers", () => {
  assert.deepEqual(parseNetwork("10.141.0.0/16"), { family: 4, first: 0x0a8d0000n, prefix: 16 });
  assert.equal(parseNetwork("10.141.0.1/16"), undefined, "an address is no network");
  for (const text of ["10.141.0.0", "10.141.0.0/33", "10.141.0.0/16/1", "::/129", "10.141/16", "", "a/8"]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
  assert.equal(addressNumber("2001:db8::1"), 0x20010db8000000000000000000000001n);
  assert.equal(addressNumber("::"), 0n);
  assert.equal(addressNumber("::ffff:10.1.2.3"), 0xffff0a010203n);
  assert.ok(isInside("10.141.255.255", parseNetwork("10.141.0.0/16")!));
  assert.ok(!isInside("10.142.0.0", parseNetwork("10.141.0.0/16")!));
  assert.ok(!isInside("::1", parseNetwork("0.0.0.0/0")!));
  assert.equal(reverseName("192.0.2.5"), "5.2.0.192.in-addr.arpa");
  // RFC 3596 section 2.5.
  assert.equal(
    reverseName("4321:0:1:2:3:4:567:89ab"),
    "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
  );
});
