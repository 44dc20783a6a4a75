import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inventory, network } from "../index.ts";
import { hostZone, reverseZones, type Zone } from "./zone.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-zone-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const site = inventory({
  domain: "example.org",
  networks: {
    cluster: network({ name: "cluster", range: "10.50.0.0/15", range6: "2001:db8:50::/64" }),
    dmz: network({ name: "dmz", range: "192.0.2.64/26" }),
    inner: network({ name: "inner", range: "10.50.9.0/24" }),
  },
  machines: {
    ns: { cluster: { v4: "10.50.0.2", v6: "2001:db8:50::2" }, dmz: "192.0.2.66" },
    far: { cluster: "10.51.1.7" },
    near: { inner: "10.50.9.3" },
  },
  aliases: { ns: ["ldap"] },
});
const authority = { nameServers: [site.hosts.ns] };

test("each network has its reverse zones, and each address stands in one of them", () => {
  const zones = reverseZones(site, authority);
  const pointers = zones.map(({ name, records }) => [name, records.filter((line) => line.includes(" PTR "))]);
  assert.deepEqual(pointers, [
    [
      "0.0.0.0.0.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
      ["2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR ns.example.org."],
    ],
    ["2.0.192.in-addr.arpa", ["66.2.0.192.in-addr.arpa. PTR ns.example.org."]],
    ["50.10.in-addr.arpa", ["2.0.50.10.in-addr.arpa. PTR ns.example.org."]],
    ["51.10.in-addr.arpa", ["7.1.51.10.in-addr.arpa. PTR far.example.org."]],
    ["9.50.10.in-addr.arpa", ["3.9.50.10.in-addr.arpa. PTR near.example.org."]],
  ]);
});

test("BIND's own judge loads every zone", () => {
  const judge = ({ name, records }: Zone) => {
    const file = join(folder, name);
    writeFileSync(file, `${records.join("\n")}\n`);
    return execFileSync("named-checkzone", [name, file], { encoding: "utf8" });
  };
  for (const zone of [hostZone(site, authority, ["@ MX 10 ns"]), ...reverseZones(site, authority)]) {
    assert.match(judge(zone), /^OK$/m);
  }
  assert.throws(() =>
    judge({ name: "example.org", records: [...hostZone(site, authority).records, "a A 10.0.0.256"] }),
  );
});
