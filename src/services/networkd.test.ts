import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import { baseFileSystems, baseServices, fileSystem, inventory, label, network, operatingSystem } from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { dhcpNetworking, type StaticInterface, staticNetworking, without, withServices } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-networkd-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const site = inventory({
  domain: "example.org",
  networks: {
    cluster: network({
      ...{ name: "cluster", range: "10.141.0.0/16", range6: "2001:db8:141::/64", vlan: 1515, mtu: 9000 },
      ...{ gateway: "10.141.255.252", gateway6: "2001:db8:141::1", nameServers: ["10.141.0.2", "2001:db8:141::2"] },
      ...{ domain: "cluster.example.org" },
      routes: [
        { destination: "10.142.0.0/16", gateway: "10.141.0.9", metric: 50 },
        { destination: "2001:db8:142::/64", gateway: "2001:db8:141::9" },
      ],
    }),
    dmz: network({ name: "dmz", range: "192.0.2.0/24", vlan: 1504 }),
    storage: network({ name: "storage", range: "10.60.0.0/16" }),
  },
  machines: {
    gate: {
      ...{ dmz: "192.0.2.1", storage: "10.60.0.1" },
      cluster: { v4: "10.141.0.1", v6: "2001:db8:141::11" },
    },
  },
});
const { gate } = site.hosts;

/** The files that networkd reads, by name. */
function networkFiles(interfaces: Readonly<Record<string, StaticInterface>>): ReadonlyMap<string, string> {
  const os = operatingSystem({
    hostName: "gate",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: baseServices,
  });
  const { files } = lowerSystem(withServices(staticNetworking(interfaces))(without(dhcpNetworking)(os)));
  const ofNetworkd = files.filter(({ path }) => /^\/etc\/systemd\/network\/.*\.(network|netdev)$/.test(path));
  return new Map(ofNetworkd.map((one) => [basename(one.path), one.kind === "file" ? one.text : ""]));
}

const wired = {
  bond0: { addresses: [], bond: { members: ["eth0", "eth1"] }, mtu: 9000 },
  "bond0.1515": { ...gate.on("cluster"), parent: "bond0" },
  "bond0.1504": { ...gate.on("dmz"), parent: "bond0" },
  eth2: gate.on("storage"),
} as const;

test("VLANs, bonds, routes and both kinds of addresses are files of networkd", () => {
  const files = networkFiles(wired);
  assert.deepEqual([...files.keys()].sort(), [
    "10-bond0.1504.netdev",
    "10-bond0.1504.network",
    "10-bond0.1515.netdev",
    "10-bond0.1515.network",
    "10-bond0.netdev",
    "10-bond0.network",
    "10-eth0.network",
    "10-eth1.network",
    "10-eth2.network",
  ]);
  assert.match(files.get("10-bond0.network")!, /^VLAN=bond0\.1504\nVLAN=bond0\.1515$/m);
  assert.match(
    files.get("10-bond0.1515.netdev")!,
    /^Name=bond0\.1515\nKind=vlan\nMTUBytes=9000\n\n\[VLAN\]\nId=1515$/m,
  );
  assert.match(
    files.get("10-bond0.1515.network")!,
    /^Address=10\.141\.0\.1\/16\nAddress=2001:db8:141::11\/64\nGateway=10\.141\.255\.252\nGateway=2001:db8:141::1$/m,
  );
  assert.match(files.get("10-eth1.network")!, /^Bond=bond0$/m);
  assert.doesNotMatch(files.get("10-eth2.network")!, /VLAN|Bond|MTU/);
});

test("a wire that only carries VLANs need not be described, and carries their largest packets", () => {
  const files = networkFiles({ "eth0.1515": { ...gate.on("cluster"), parent: "eth0" } });
  assert.match(files.get("10-eth0.network")!, /^LinkLocalAddressing=no\nVLAN=eth0\.1515\n\n\[Link\]\nMTUBytes=9000$/m);
});

test("networkd itself understands each file, and complains of what is wrong in one", async () => {
  const files = networkFiles(wired);
  const { complaints, devices } = await askNetworkd(files);
  assert.deepEqual(complaints, []);
  assert.deepEqual(devices, ["bond0.1504: vlan", "bond0.1515: vlan", "bond0: bond"]);
  const broken = new Map(files).set(
    "10-eth2.network",
    `${files.get("10-eth2.network")}\n[Route]\nDestination=10.0.0.0/99\n`,
  );
  assert.match((await askNetworkd(broken)).complaints.join("\n"), /10-eth2\.network.*10\.0\.0\.0\/99/);
});

test("wires that cannot be are refused", () => {
  const refused = (interfaces: Readonly<Record<string, StaticInterface>>, expected: RegExp) =>
    assert.throws(() => networkFiles(interfaces), expected);
  const on = (parent: string, vlan?: number): StaticInterface => ({ addresses: [], parent, ...(vlan && { vlan }) });
  refused({ "eth0.1": on("eth0", 4095) }, /VLAN 4095/);
  refused({ "eth0.1": on("eth0") }, /VLAN undefined/);
  refused({ a: on("eth0", 1), b: on("eth0", 1) }, /a and b are both 1/);
  refused({ eth0: on("eth0", 1) }, /found itself/);
  refused({ eth0: { addresses: [] }, "eth0.1": { ...on("eth0", 1), mtu: 9000 } }, /1500 at most, as eth0 has/);
  refused({ bond0: { addresses: [], bond: { members: [] } } }, /found no member/);
  refused({ bond0: { addresses: [], bond: { members: ["eth0"] } }, eth0: gate.on("dmz") }, /addresses of its own/);
  refused({ bond0: { addresses: [], bond: { members: ["eth0"], mode: "lacp" as "802.3ad" } } }, /found lacp/);
});

/**
 * What systemd-networkd says of files when it reads them, in namespaces in which nothing is this host's. It gives its
 * rights away to an account of its own, which is root's there.
 */
async function askNetworkd(files: ReadonlyMap<string, string>) {
  const place = mkdtempSync(join(folder, "etc-"));
  mkdirSync(join(place, "network"));
  for (const [name, content] of files) writeFileSync(join(place, "network", name), content);
  writeFileSync(join(place, "passwd"), "root:x:0:0::/:/bin/sh\nsystemd-network:x:0:0::/:/bin/sh\n");
  writeFileSync(join(place, "group"), "root:x:0:\nsystemd-network:x:0:\n");
  const script = `
    set -e
    mount --bind "$1/passwd" /etc/passwd
    mount --bind "$1/group" /etc/group
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/network
    cp "$1"/network/* /run/systemd/network/
    export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_COLOR=no
    exec timeout 60 /usr/lib/systemd/systemd-networkd`;
  const child = spawn("unshare", ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh", place], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const hear = (chunk: Buffer): void => {
    said += chunk;
    if (said.includes("Enumeration completed")) child.kill();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  await new Promise((resolve) => child.on("close", resolve));
  assert.match(said, /Enumeration completed/, said);
  const lines = said.split("\n");
  return {
    complaints: lines.filter((line) => line.includes("/run/systemd/network/")),
    devices: lines.flatMap((line) => /^(\S+): loaded "(\w+)"/.exec(line)?.slice(1).join(": ") ?? []).sort(),
  };
}
