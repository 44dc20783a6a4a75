import assert from "node:assert/strict";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import {
  baseFileSystems,
  baseServices,
  endpoint,
  fileSystem,
  inventory,
  label,
  network,
  operatingSystem,
  pipe,
} from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { systemHash } from "../system/manifest-hash.ts";
import {
  chrony,
  dhcpNetworking,
  firewall,
  openssh,
  withDebugTools,
  withHardening,
  withHostName,
  withIpvs,
  withKeepalived,
  without,
  withoutDaemonSocket,
  withPackages,
  withSerialConsole,
  withServices,
} from "./index.ts";

const base = operatingSystem({
  hostName: "base",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
  services: [...baseServices, openssh({ x11Forwarding: true })],
});

const floating = (name: string, router: number) => ({
  ...{ name, router, interface: "eth0", addresses: [`10.0.0.${router}/24`], priority: 100 },
  ...{ self: "10.0.0.1", peers: ["10.0.0.2"] },
});

function textOf(os: typeof base, path: string | RegExp): string {
  const found = lowerSystem(os).files.find((one) =>
    typeof path === "string" ? one.path === path : path.test(one.path),
  );
  assert.ok(found?.kind === "file", `no file ${path}`);
  return found.text;
}

test("transformers stand in a row, and leave the system before them as it was", () => {
  const before = lowerSystem(base);
  const os = pipe(
    base,
    withHostName("gate"),
    withPackages("jq", "nano"),
    withServices(openssh({ port: 2222 }), chrony()),
    without(dhcpNetworking),
    withSerialConsole(),
  );
  const manifest = lowerSystem(os);
  assert.equal(manifest.hostName, "gate");
  assert.equal(manifest.packages.filter(({ name }) => name === "nano" || name === "jq").length, 2);
  assert.ok(
    manifest.checks.some(({ name }) => name === "tcp port 2222 answers"),
    "one takes the place of the other",
  );
  assert.ok(!manifest.files.some(({ path }) => /dhcp/.test(path)));
  assert.deepEqual(manifest.kernel.arguments, ["console=tty0", "console=ttyS0,115200"]);
  assert.deepEqual(lowerSystem(base), before);
});

test("one that is applied twice is applied once, and the order of what is added means nothing", () => {
  const once = pipe(base, withSerialConsole(), withDebugTools(), withHardening(), withoutDaemonSocket("rpcbind"));
  const twice = pipe(
    once,
    withoutDaemonSocket("rpcbind.socket"),
    withHardening(),
    withDebugTools("vim"),
    withSerialConsole({ speed: 9600 }),
    withSerialConsole(),
  );
  const hash = (os: typeof base) => systemHash(lowerSystem(os), []);
  assert.equal(hash(twice), hash(once));
  assert.deepEqual(lowerSystem(once).maskedUnits, ["rpcbind.socket"]);
});

test("without() says what is not there, and where it was wanted", () => {
  assert.throws(
    () => pipe(base, without(chrony)),
    (error: unknown) => {
      assert.ok(error instanceof MesoError);
      assert.match(error.message, /base has no service of type chrony/);
      assert.ok(error.problems[0]?.where?.file.endsWith("transformers.test.ts"));
      return true;
    },
  );
});

test("floating addresses are added to those that the system has", () => {
  const os = pipe(
    base,
    withKeepalived({ floating: [floating("web", 51)], extraConfiguration: "# one" }),
    withKeepalived({ floating: [floating("dns", 53)], extraConfiguration: "# two" }),
  );
  const text = textOf(os, /-keepalived\.conf$/);
  assert.match(text, /vrrp_instance web.*vrrp_instance dns.*# one\n# two/s);
});

test("virtual servers come beside those that are there", () => {
  const { hosts } = inventory({
    domain: "example.org",
    networks: { lan: network({ name: "lan", range: "10.0.0.0/24" }) },
    machines: { web: { lan: "10.0.0.9" } },
  });
  const virtual = (number: number) => ({ address: "10.0.0.5", port: number, servers: [endpoint("http", hosts.web)] });
  const os = pipe(base, withIpvs({ virtualServers: [virtual(80)] }), withIpvs({ virtualServers: [virtual(443)] }));
  assert.match(textOf(os, /-keepalived\.conf$/), /virtual_server 10\.0\.0\.5 80 .*virtual_server 10\.0\.0\.5 443 /s);
});

test("a hardened machine has a closed firewall, no empty passwords, no graphics, and no rare modules", () => {
  const os = pipe(base, withHardening());
  assert.match(textOf(os, /-nftables\.conf$/), /policy drop/);
  assert.doesNotMatch(textOf(os, "/etc/pam.d/login"), /nullok/);
  assert.match(textOf(os, /-sshd_config$/), /X11Forwarding no/);
  assert.match(textOf(os, "/etc/modprobe.d/meso.conf"), /^install sctp \/bin\/false$/m);
  assert.match(textOf(os, "/etc/sysctl.d/90-meso.conf"), /^kernel\.kptr_restrict = 2$/m);
  const open = pipe(base, withServices(firewall({ policy: "open" })), withHardening({ level: "strict" }));
  assert.ok(!lowerSystem(open).enabledUnits.includes("nftables.service"), "what is listed counts");
  assert.ok(lowerSystem(open).kernel.arguments.includes("init_on_free=1"));
  assert.throws(() => lowerSystem(pipe(base, withHardening({ level: "very" as "strict" }))), /usual, strict/);
});

test("a mistake in what is added is told where it was added", () => {
  assert.throws(
    () => lowerSystem(pipe(base, withKeepalived({ floating: [floating("web", 999)] }))),
    (error: unknown) => {
      assert.ok(error instanceof MesoError);
      assert.ok(error.problems.every(({ where }) => where?.file.endsWith("transformers.test.ts")));
      return true;
    },
  );
});
