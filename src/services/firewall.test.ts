import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { baseFileSystems, baseServices, fileSystem, label, operatingSystem } from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { chrony, firewall, keepalived, openssh, rsyslog } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-firewall-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function manifestWith(...services: Parameters<typeof operatingSystem>[0]["services"] & object) {
  return lowerSystem(
    operatingSystem({
      hostName: "gate",
      fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
      services: [...baseServices, ...services],
    }),
  );
}

function rulesOf(manifest: ReturnType<typeof manifestWith>): string {
  const file = manifest.files.find(({ path }) => path.endsWith("-nftables.conf"));
  assert.ok(file?.kind === "file");
  return file.text;
}

test("an open firewall is no part of the system", () => {
  const manifest = manifestWith(openssh());
  assert.ok(!manifest.packages.some(({ name }) => name === "nftables"));
  assert.ok(!manifest.enabledUnits.includes("nftables.service"));
});

test("a closed one lets in what services listen on, and who may reach it", () => {
  const manifest = manifestWith(
    openssh({ port: 2222 }),
    chrony({ allow: ["2001:db8::/32", "10.0.0.0/8"] }),
    rsyslog({ listen: { udp: 514 } }),
    firewall({ policy: "closed", trusted: ["10.9.9.9"] }),
  );
  assert.ok(manifest.enabledUnits.includes("nftables.service"));
  const accepted = rulesOf(manifest)
    .split("\n")
    .flatMap((line) => (/comment|saddr/.test(line) ? [line.trim()] : []));
  assert.deepEqual(accepted, [
    "ip6 saddr fe80::/10 udp dport 546 accept",
    "ip saddr 10.9.9.9 accept",
    'ip saddr 10.0.0.0/8 udp dport 123 accept comment "NTP"',
    'ip6 saddr 2001:db8::/32 udp dport 123 accept comment "NTP"',
    'tcp dport 2222 accept comment "SSH"',
    'udp dport 514 accept comment "system logs"',
  ]);
});

test("what is no network is refused", () => {
  assert.throws(() => manifestWith(firewall({ policy: "closed", trusted: ["10.0.0.0/33"] })), /10\.0\.0\.0\/33/);
  assert.throws(() => manifestWith(firewall({ policy: "shut" as "open" })), /open or closed/);
});

test("nft takes the rules", () => {
  const file = join(folder, "rules");
  // In a network namespace of its own: nft asks the kernel, and must see nothing of this host's.
  const judge = (text: string) => {
    writeFileSync(file, text);
    return execFileSync("unshare", ["--user", "--map-root-user", "--net", "nft", "--check", "--file", file], {
      stdio: "pipe",
    });
  };
  const rules = rulesOf(
    manifestWith(
      openssh(),
      chrony({ allow: ["2001:db8::/32", "10.0.0.0/8"] }),
      keepalived({
        floating: [
          {
            ...{ name: "web", router: 51, interface: "eth0", addresses: ["10.0.0.100/8"], priority: 100 },
            ...{ self: "10.0.0.1", peers: ["10.0.0.2", "2001:db8::2"] },
          },
        ],
      }),
      firewall({
        policy: "closed",
        trusted: ["10.9.9.9", "2001:db8::1"],
        extraRules: ["tcp dport 8080-8090 accept"],
        extraTables:
          "table ip nat {\n  chain postrouting { type nat hook postrouting priority srcnat; masquerade; }\n}",
      }),
    ),
  );
  assert.match(rules, /ip saddr 10\.0\.0\.2 meta l4proto vrrp accept/);
  assert.match(rules, /ip6 saddr 2001:db8::2 meta l4proto vrrp accept/);
  judge(rules);
  assert.throws(() => judge(rules.replace("dport 22 ", "dprot 22 ")), /syntax error|dprot/);
});
