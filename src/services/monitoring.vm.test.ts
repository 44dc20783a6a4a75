import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  dhcpNetworking,
  endpoint,
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
  secret,
  staticNetworking,
} from "../index.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, withMachines } from "../testing/index.ts";
import { caddy, firewall, ipvs, postgresql, zabbixAgent, zabbixFrontend, zabbixHosts, zabbixServer } from "./index.ts";

const lan = network({ name: "lan", range: "10.77.0.0/24" });
const site = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { watch: { lan: "10.77.0.2" }, desk: { lan: "10.77.0.3" } },
});
const { hosts } = site;
const key = { identity: "site", secret: secret("agents") };
const web = [8081, 8082].map((number) => endpoint("http", hosts.desk, { port: port("http", number) }));

const watch = machine(
  "watch",
  postgresql({ databases: [{ name: "zabbix", owner: "zabbix" }], roles: [{ name: "zabbix" }] }),
  zabbixServer({
    database: { kind: "postgresql" },
    administratorPassword: secret("zabbix-admin"),
  }),
  zabbixFrontend({ database: { kind: "postgresql" }, title: "Story" }),
  ipvs({
    virtualServers: [
      { address: hosts.watch.address, port: 8000, scheduler: "rr", servers: web, healthy: { path: "/" } },
    ],
  }),
  // Which knows the connections that IPVS translates.
  firewall({ policy: "closed" }),
);

const desk = machine(
  "desk",
  zabbixAgent({
    servers: [endpoint("zabbix-server", hosts.watch)],
    key,
    items: { "story.word": "echo written on the desk" },
  }),
  caddy({
    sites: web.map(({ port: number }) => ({
      addresses: [`:${number}`],
      locations: [],
      extraConfiguration: `respond "from ${number}"`,
    })),
  }),
);

test("an agent's item arrives at the server and is read through the front end; IPVS leaves out who fails", async () => {
  const session = testSession();
  await withMachines(
    { watch: { os: watch, memory: "1GiB" }, desk },
    async ({ watch, desk }) => {
      await balanced(watch, desk);
      await watch.waitForUnit("zabbix-server.service", 300);
      await Promise.all([watch.passesChecks(60), desk.passesChecks(60)]);
      await itemArrives(watch);
    },
    {
      ...{ lock: session.lockFile, store: session.store.directory },
      secrets: { agents: preSharedKey, "zabbix-admin": administratorPassword },
    },
  );
});

const administratorPassword = "what nobody else says";
const preSharedKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

async function balanced(watch: MachineUnderTest, desk: MachineUnderTest): Promise<void> {
  const get = "curl -sS --max-time 20 http://10.77.0.2:8000/";
  const said = `for i in 1 2 3 4; do ${get}; echo; done | sort -u | tr '\\n' ' '`;
  await watch.waitUntilSucceeds(`test "$(${said})" = "from 8081 from 8082 "`);
  // What went where: a connection to the address and port, answered by a server of another.
  assert.match(
    await watch.succeeds("conntrack -L -p tcp --dport 8000 2>&1"),
    /dport=8000 .*src=10\.77\.0\.3 .*sport=808[12]/,
  );
  await desk.succeeds("systemctl stop caddy");
  await watch.waitUntilSucceeds("! ipvsadm -Ln | grep -q 10.77.0.3");
  await desk.succeeds("systemctl start caddy");
  await watch.waitUntilSucceeds("ipvsadm -Ln | grep -c 10.77.0.3 | grep -qx 2");
}

async function itemArrives(watch: MachineUnderTest): Promise<void> {
  let session = "";
  const ask = async (method: string, parameters: object): Promise<unknown> => {
    await watch.writeFile("/tmp/asked", JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: parameters }));
    const who = session === "" ? "" : `-H 'Authorization: Bearer ${session}'`;
    const said = await watch.succeeds(
      `curl -sS --max-time 120 -H 'Content-Type: application/json-rpc' ${who} --data @/tmp/asked http://127.0.0.1/api_jsonrpc.php`,
      150,
    );
    const { result, error } = JSON.parse(said) as { result?: unknown; error?: unknown };
    assert.ok(result !== undefined, `${method}: ${JSON.stringify(error ?? said)}`);
    return result;
  };
  assert.match(await watch.succeeds("curl -sSL --max-time 120 http://127.0.0.1/", 150), /<title>Story/);
  assert.match(
    await watch.succeeds("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/conf/zabbix.conf.php"),
    /403|404/,
  );
  await assert.rejects(ask("user.login", { username: "Admin", password: "zabbix" }), /user\.login/);
  session = (await ask("user.login", { username: "Admin", password: administratorPassword })) as string;

  const rules = { host_groups: { createMissing: true }, hosts: { createMissing: true, updateExisting: true } };
  const source = zabbixHosts(site, { only: ({ name }) => name === "desk" });
  for (let times = 0; times < 2; times++) await ask("configuration.import", { format: "json", rules, source });
  const found = (await ask("host.get", { filter: { host: "desk" }, output: ["hostid"] })) as { hostid: string }[];
  assert.equal(found.length, 1);
  const hostids = [found[0]!.hostid];
  const encryption = { tls_connect: 2, tls_accept: 2, tls_psk_identity: key.identity, tls_psk: preSharedKey };
  await ask("host.update", { hostid: hostids[0], ...encryption });
  const { interfaceid } = (
    (await ask("hostinterface.get", { hostids, output: ["interfaceid"] })) as [{ interfaceid: string }]
  )[0];
  await ask("item.create", {
    ...{ hostid: hostids[0], interfaceid, name: "word", key_: "story.word", type: 0, value_type: 4, delay: "2s" },
  });
  await watch.succeeds("zabbix_server -R config_cache_reload");
  for (let tries = 0; ; tries++) {
    const [item] = (await ask("item.get", { hostids, output: ["lastvalue", "error"] })) as {
      lastvalue: string;
      error: string;
    }[];
    if (item?.lastvalue === "written on the desk") return;
    assert.ok(tries < 30, `the item has not arrived: ${JSON.stringify(item)}`);
    await watch.succeeds("sleep 2");
  }
}

function machine(name: keyof typeof hosts, ...services: readonly Service[]): OperatingSystem {
  return operatingSystem({
    hostName: name,
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    packages: ["iproute2", "curl", "procps", "systemd-sysv"],
    services: [
      ...modifyServices(baseServices, remove(dhcpNetworking)),
      staticNetworking({ eth0: hosts[name].on("lan") }),
      ...services,
    ],
  });
}
