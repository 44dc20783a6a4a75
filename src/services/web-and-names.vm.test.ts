import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  debian,
  dhcpNetworking,
  endpoint,
  etcFile,
  etcFiles,
  fileSystem,
  inventory,
  label,
  modifyServices,
  network,
  type OperatingSystem,
  operatingSystem,
  port,
  remove,
  type Service,
  simpleService,
  staticNetworking,
} from "../index.ts";
import { testSession } from "../test-support/test-session.ts";
import { withMachines } from "../testing/index.ts";
import { bind9, firewall, haproxy, hostZone, nginx, reverseZone } from "./index.ts";

const lan = network({ name: "lan", range: "10.77.0.0/24", nameServers: ["10.77.0.2"], domain: "example.org" });
const site = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { front: { lan: "10.77.0.2" }, desk: { lan: "10.77.0.3" } },
  aliases: { front: ["www"] },
});
const { hosts } = site;
const authority = { nameServers: [hosts.front] };

test("names are answered, requests balanced over two web servers, and a closed firewall is closed", async () => {
  const session = testSession();
  const front = machine(
    "front",
    bind9({
      zones: [hostZone(site, authority, ["@ MX 10 front"]), reverseZone(site, "0.77.10.in-addr.arpa", authority)],
    }),
    haproxy({
      ports: [
        {
          ...{ name: "web", port: 80, mode: "http", healthPath: "/" },
          servers: [hosts.front, hosts.desk].map((host) => endpoint("http", host, { port: port("http", 8080) })),
        },
      ],
      statisticsPort: 8404,
    }),
    ...webServer("front"),
    firewall({ policy: "closed" }),
  );
  await withMachines(
    { front, desk: machine("desk", ...webServer("desk")) },
    async ({ front, desk }) => {
      await Promise.all([front.passesChecks(60), desk.passesChecks(60)]);

      const ask = (...words: string[]) => desk.succeeds(`dig +short ${words.join(" ")}`);
      assert.equal(await ask("desk.example.org"), "10.77.0.3");
      assert.equal(await ask("www.example.org"), "front.example.org.\n10.77.0.2");
      assert.equal(await ask("example.org", "MX"), "10 front.example.org.");
      assert.equal(await ask("-x", "10.77.0.3"), "desk.example.org.");
      assert.match(await desk.succeeds("dig nothing.example.org"), /status: NXDOMAIN/);
      assert.match(await desk.succeeds("dig other.example.com"), /status: REFUSED/, "it is nobody's resolver");
      assert.match(await desk.succeeds("getent hosts www"), /^10\.77\.0\.2\s/, "by the machine's own resolver");

      // The balancer looks at its servers every two seconds.
      const get = "curl -sS --max-time 20 http://www.example.org/";
      await desk.waitUntilSucceeds(`for i in 1 2 3 4; do ${get}; done | sort -u | wc -l | grep -qx 2`);
      await desk.succeeds("systemctl stop nginx");
      await desk.waitUntilSucceeds(`test "$(for i in 1 2 3 4; do ${get}; done | sort -u)" = front`);

      const reach = (number: number) => `timeout 5 bash -c '</dev/tcp/10.77.0.2/${number}'`;
      await front.succeeds(`systemd-run --unit=other perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 9999, ReuseAddr => 1) or die; 1 while $s->accept'`);
      await front.waitForPort(9999);
      await front.succeeds(reach(9999));
      await desk.succeeds(reach(80));
      await desk.fails(reach(9999));
      await desk.succeeds("ping -c 1 -W 10 10.77.0.2");
      await front.succeeds("systemctl stop nftables && nft flush ruleset");
      await desk.succeeds(reach(9999));
    },
    { lock: session.lockFile, store: session.store.directory },
  );
});

function machine(name: keyof typeof hosts, ...services: readonly Service[]): OperatingSystem {
  return operatingSystem({
    hostName: name,
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    packages: ["iproute2", "iputils-ping", "curl", debian("bind9-dnsutils"), "procps", "systemd-sysv"],
    services: [
      ...modifyServices(baseServices, remove(dhcpNetworking)),
      staticNetworking({ eth0: hosts[name].on("lan") }),
      ...services,
    ],
  });
}

/** Serves its own name. */
function webServer(name: string): readonly Service[] {
  return [
    nginx({ sites: [{ port: 8080, locations: [{ path: "/", root: "/etc/site" }] }] }),
    simpleService("page", etcFiles, [etcFile("/etc/site/index.html", `${name}\n`)]),
  ];
}
