import assert from "node:assert/strict";
import { test } from "node:test";
import { inventory, network } from "../index.ts";
import { ldapHosts, zabbixHosts } from "./index.ts";

const lan = network({ name: "lan", range: "10.78.0.0/24", range6: "2001:db8:78::/64" });
const site = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { "ns-1": { lan: { v4: "10.78.0.2", v6: "2001:db8:78::2" } }, gate: { lan: "10.78.0.1" } },
  aliases: { gate: ["www"] },
});

test("machines are entries of a directory, with every name and address", () => {
  assert.deepEqual(ldapHosts(site, "ou=hosts,dc=example,dc=org"), [
    {
      dn: "cn=gate,ou=hosts,dc=example,dc=org",
      attributes: {
        objectClass: ["device", "ipHost"],
        cn: ["gate", "gate.example.org", "www"],
        ipHostNumber: ["10.78.0.1"],
      },
    },
    {
      dn: "cn=ns-1,ou=hosts,dc=example,dc=org",
      attributes: {
        objectClass: ["device", "ipHost"],
        cn: ["ns-1", "ns-1.example.org"],
        ipHostNumber: ["10.78.0.2", "2001:db8:78::2"],
      },
    },
  ]);
});

test("machines are hosts for Zabbix; a group is the same one in each list", () => {
  const groupsOf = (host: { name: string }) => (host.name.startsWith("ns-") ? ["Name servers"] : []);
  const read = (text: string) => JSON.parse(text).zabbix_export;
  const all = read(zabbixHosts(site, { groupsOf, templates: ["Linux by Zabbix agent"] }));
  assert.deepEqual(
    all.hosts.map((one: { host: string; groups: { name: string }[] }) => [
      one.host,
      one.groups.map(({ name }) => name),
    ]),
    [
      ["gate", ["Site"]],
      ["ns-1", ["Name servers", "Site"]],
    ],
  );
  assert.deepEqual(all.hosts[0].templates, [{ name: "Linux by Zabbix agent" }]);
  const some = read(zabbixHosts(site, { only: ({ name }) => name === "gate" }));
  assert.deepEqual(some.host_groups, all.host_groups.slice(1));
  for (const { uuid } of all.host_groups) assert.match(uuid, /^[0-9a-f]{12}4[0-9a-f]{3}8[0-9a-f]{15}$/);
});
