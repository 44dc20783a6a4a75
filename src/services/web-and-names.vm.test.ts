import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
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
  profile,
  remove,
  type Service,
  simpleService,
  staticNetworking,
} from "../index.ts";
import { newSshKey } from "../test-support/ssh-key.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, withMachines } from "../testing/index.ts";
import {
  bind9,
  firewall,
  gitConfig,
  gitConfigPlace,
  haproxy,
  hostZone,
  keepalived,
  type NginxOptions,
  nginx,
  reverseZone,
  squid,
  unbound,
} from "./index.ts";

const lan = network({ name: "lan", range: "10.77.0.0/24", nameServers: ["10.77.0.2"], domain: "example.org" });
const site = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { front: { lan: "10.77.0.2" }, desk: { lan: "10.77.0.3" } },
  aliases: { front: ["www"] },
});
const { hosts } = site;
const authority = { nameServers: [hosts.front] };
/** Who signs configurations; another one in each run, as no private key is part of any source. */
const keys = mkdtempSync(join(tmpdir(), "meso-signer-"));
after(() => rmSync(keys, { recursive: true, force: true }));
const signer = newSshKey(keys);

test("names, balanced web servers, a proxy, a closed firewall, sites from git, and an address that outlives its machine", async () => {
  const session = testSession();
  const balancer = haproxy({
    ports: [
      {
        ...{ name: "web", port: 80, mode: "http", healthPath: "/" },
        servers: [hosts.front, hosts.desk].map((host) => endpoint("http", host, { port: port("http", 8080) })),
      },
    ],
    ...{ statisticsPort: 8404, metricsPort: 8405 },
  });
  const front = machine(
    "front",
    bind9({
      zones: [hostZone(site, authority, ["@ MX 10 front"]), reverseZone(site, "0.77.10.in-addr.arpa", authority)],
      statisticsPort: 8053,
    }),
    balancer,
    ...webServer("front", { extraConfiguration: `include ${gitConfigPlace("sites")}/*.conf;` }),
    gitConfig({
      ...{ name: "sites", repository: "http://10.77.0.3:8090/sites.git", branch: "main", every: "5s" },
      allowedSigners: [`ops@example.org ${signer.line}`],
      parts: [{ path: "", check: "nginx -t", units: ["nginx.service"] }],
    }),
    keepalived({ floating: [floating("front", 150)] }),
    firewall({ policy: "closed" }),
  );
  const desk = machine(
    "desk",
    balancer,
    ...webServer("desk", { sites: [{ port: 8090, locations: [{ path: "/", root: "/srv/git" }] }] }),
    simpleService("git", profile, ["git", "openssh-client"]),
    keepalived({ floating: [floating("desk", 120)] }),
    unbound({
      dnssecValidation: false,
      forwardZones: [{ name: "example.org", servers: [endpoint("dns", hosts.front)] }],
    }),
    squid({ clients: ["10.77.0.0/24"], allowedSites: [".example.org"], ports: [80] }),
  );
  await withMachines(
    { front, desk },
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
      await sitesFromGit(front, desk);
      await desk.waitUntilSucceeds(`test "$(for i in 1 2 3 4; do ${get}; done | sort -u)" = front`);

      // What they tell of it: Prometheus, and exporters on the machine.
      const isDown = 'haproxy_server_status{proxy="web",server="desk-8080",state="DOWN"} 1';
      await desk.waitUntilSucceeds(`curl -sS --max-time 20 http://10.77.0.2:8405/metrics | grep -Fx '${isDown}'`);
      assert.match(await front.succeeds("curl -sS --max-time 20 http://127.0.0.1:8081/"), /^Active connections: \d/);
      assert.match(
        await front.succeeds("curl -sS --max-time 20 http://127.0.0.1:8053/json/v1/server"),
        /"opcodes":\{\s*"QUERY":[1-9]/,
      );

      // A resolver behind the server, and a proxy that lets through what is on its list.
      assert.equal(await desk.succeeds("dig +short @127.0.0.1 front.example.org"), "10.77.0.2");
      const proxied = (url: string) =>
        front.succeeds(`curl -s -o /dev/null -w '%{http_code}' --max-time 60 -x http://10.77.0.3:3128 ${url}`, 90);
      assert.equal(await proxied("http://www.example.org/"), "200");
      assert.equal(await proxied("http://www.example.com/"), "403");
      assert.equal(await proxied("http://www.example.org:8080/"), "403");

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

      const hasAddress = "ip -4 address show dev eth0 | grep -q 10.77.0.100/";
      await front.waitUntilSucceeds(hasAddress);
      await desk.fails(hasAddress);
      await desk.succeeds("systemctl start nginx");
      const floats = "curl -sS --max-time 20 http://10.77.0.100/";
      const fromBoth = `for i in 1 2 3 4; do ${floats}; done | sort -u | wc -l | grep -qx 2`;
      await desk.waitUntilSucceeds(fromBoth);
      // It goes where a balancer works, comes back, and outlives its machine.
      await front.succeeds("systemctl stop haproxy");
      await desk.waitUntilSucceeds(hasAddress);
      await desk.waitUntilSucceeds(fromBoth);
      await front.succeeds("systemctl start haproxy");
      await front.waitUntilSucceeds(hasAddress);
      await desk.waitUntilFails(hasAddress);
      await front.kill();
      await desk.waitUntilSucceeds(hasAddress);
      // The balancer of the other machine answers in its place, and leaves out the web server that went with it.
      await desk.waitUntilSucceeds(`test "$(for i in 1 2 3 4; do ${floats}; done | sort -u)" = desk`);
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

/** The address that the machine with the higher priority has, which a balancer makes. */
function floating(name: keyof typeof hosts, priority: number) {
  const peers = Object.values(hosts).filter((host) => host.name !== name);
  return {
    ...{ name: "web", router: 51, interface: "eth0", addresses: ["10.77.0.100/24"], priority },
    ...{ self: hosts[name].address, peers: peers.map(({ address }) => address) },
    healthy: "systemctl is-active --quiet haproxy",
  };
}

/** Serves its own name, and what else is said. */
function webServer(name: string, { sites = [], ...more }: Partial<NginxOptions>): readonly Service[] {
  const own = { port: 8080, locations: [{ path: "/", root: "/etc/site" }] };
  return [
    nginx({ sites: [own, ...sites], statusPort: 8081, ...more }),
    simpleService("page", etcFiles, [etcFile("/etc/site/index.html", `${name}\n`)]),
  ];
}

/** The desk keeps a repository, and its web server serves it; the front takes its sites from there. */
async function sitesFromGit(front: MachineUnderTest, desk: MachineUnderTest): Promise<void> {
  await desk.writeFile("/root/key", readFileSync(signer.file, "utf8"));
  const identity = "-c user.name=ops -c user.email=ops@example.org -c gpg.format=ssh -c user.signingKey=/root/key";
  const commit = (text: string) =>
    `cd /root/sites && printf '%s' '${text}' > hello.conf && git add . && git ${identity} commit -q -S -m change &&
     git push -q origin HEAD:main && git -C /srv/git/sites.git update-server-info`;
  await desk.succeeds("chmod 600 /root/key && git init -q --bare -b main /srv/git/sites.git");
  await desk.succeeds("git init -q -b main /root/sites && git -C /root/sites remote add origin /srv/git/sites.git");
  const site = (word: string) => `server { listen 8100; location / { return 200 "${word}"; } }`;
  const says = (word: string) => `test "$(curl -sS --max-time 20 http://127.0.0.1:8100/)" = ${word}`;
  await desk.succeeds(commit(site("one")), 60);
  await front.waitUntilSucceeds(says("one"));
  await desk.succeeds(commit("server { listen nowhere"), 60);
  await front.waitUntilSucceeds("systemctl status git-config-sites | grep -q 'it is refused'");
  await front.succeeds(says("one"));
  await desk.succeeds(commit(site("two")), 60);
  await front.waitUntilSucceeds(says("two"));
  // Its server is away: nothing changes, and that is told.
  await desk.succeeds("systemctl stop nginx");
  await front.waitUntilSucceeds("grep -q 'cannot fetch' /var/lib/git-config/sites/state.json");
  await front.succeeds(says("two"));
}
