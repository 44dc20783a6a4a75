import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildImages } from "../build/build-systems.ts";
import { isInside, parseNetwork } from "../language/address.ts";
import { lowerSystem } from "../system/lower.ts";
import type { SystemManifest } from "../system/manifest.ts";
import { systemHash } from "../system/manifest-hash.ts";
import { projectFolder } from "../test-support/meso-process.ts";
import { testSession } from "../test-support/test-session.ts";
import { openCentre } from "./open-centre.ts";
import { prepareCentre } from "./prepare-centre.ts";

// The centre of the talks (examples/glicid). Edits are made to copies of its files, as a person makes them.

const cache = join(projectFolder, ".cache");
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, "glicid-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const opened = await openCentre(join(projectFolder, "examples/glicid/centre.ts"));
const { centre } = opened;
const manifests = lowered(centre);

type Edit = readonly [file: string, from: string, to: string];

function lowered({ machines }: typeof centre): ReadonlyMap<string, SystemManifest> {
  return new Map(Object.entries(machines).map(([path, { os }]) => [path, lowerSystem(os)]));
}

async function edited(...edits: readonly Edit[]): Promise<ReadonlyMap<string, SystemManifest>> {
  const copy = mkdtempSync(join(folder, "edit-"));
  cpSync(join(projectFolder, "examples/glicid"), copy, { recursive: true });
  for (const [file, from, to] of edits) {
    const text = readFileSync(join(copy, file), "utf8");
    assert.equal(text.split(from).length, 2, `${file} has ${JSON.stringify(from)} once`);
    writeFileSync(
      join(copy, file),
      text.replace(from, () => to),
    );
  }
  return lowered((await openCentre(join(copy, "centre.ts"))).centre);
}

function changed(after: ReadonlyMap<string, SystemManifest>): readonly string[] {
  const hash = (manifest: SystemManifest | undefined) => manifest && systemHash(manifest, []);
  return [...manifests].filter(([path, manifest]) => hash(after.get(path)) !== hash(manifest)).map(([path]) => path);
}

const all = [...manifests.keys()];
const matching = (pattern: RegExp) => all.filter((path) => pattern.test(path));

test("many machines, no two of them the same, each by its own name", () => {
  assert.ok(all.length >= 40, `${all.length} machines`);
  assert.equal(new Set([...manifests.values()].map((one) => systemHash(one, []))).size, all.length);
  for (const [path, { hostName }] of manifests) assert.equal(path.split("/").at(-1), hostName);
});

test("test001 is what the talk says: the debug template, one address, the test network's way out", () => {
  const { hostName, files, packages } = manifests.get("for-slides/test001")!;
  assert.equal(hostName, "test001");
  const network = files.find(({ path }) => path === "/etc/systemd/network/10-eth0.network");
  assert.ok(network?.kind === "file");
  assert.match(
    network.text,
    /^Address=10\.50\.103\.201\/16\nGateway=10\.50\.255\.254\nDNS=10\.50\.1\.3\nDNS=10\.50\.1\.4$/m,
  );
  for (const name of ["strace", "tcpdump", "vim", "openssh-server", "chrony", "rsyslog", "qemu-guest-agent"]) {
    assert.ok(
      packages.some((one) => one.name === name),
      name,
    );
  }
});

const edits: readonly {
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly changes: readonly string[];
}[] = [
  {
    what: "one option of one service",
    edits: [["machines/web.ts", 'memory: "512 MB"', 'memory: "256 MB"']],
    changes: matching(/^web\/proxy-/),
  },
  {
    what: "a further name in the name service",
    edits: [["site.ts", '"reverse-1": ["www"]', '"reverse-1": ["www", "home"]']],
    changes: ["dns/ns-1"],
  },
  {
    what: "a network constant",
    edits: [["networks.ts", 'gateway: "203.0.113.1"', 'gateway: "203.0.113.2"']],
    changes: matching(/^(balancers\/lb-pub|access\/bastion)-/),
  },
  {
    what: "a machine's place in its network",
    edits: [["site.ts", '"www-2": { glicid: glicid("6.32") }', '"www-2": { glicid: glicid("6.33") }']],
    changes: ["dns/ns-1", "watch/zabbix", "web/reverse-1", "web/reverse-2", "web/www-2"],
  },
  {
    what: "an administrator's key",
    edits: [["template/people.ts", "YW55 yann@", "YW5u yann@"]],
    changes: all,
  },
  {
    what: "what every machine has, in another order",
    edits: [["template/v3.ts", '"curl", "rsync", "tcpdump"', '"tcpdump", "curl", "rsync"']],
    changes: [],
  },
  {
    what: "how large a machine is, and how many may be down",
    edits: [
      ["machines/watch.ts", 'memory: "2GiB"', 'memory: "4GiB"'],
      ["centre.ts", '"lb-pub": group({ mayBeDown: 1 })', '"lb-pub": group({ mayBeDown: 2 })'],
    ],
    changes: [],
  },
];

for (const { what, edits: made, changes } of edits) {
  test(`${what}: ${changes.length === all.length ? "all" : changes.length} machines change`, async () => {
    assert.deepEqual([...changed(await edited(...made))].sort(), [...changes].sort());
  });
}

test("one constant moves the whole site", async () => {
  const before = 'export const stage: Stage = "test"';
  for (const [stage, bytes] of Object.entries({
    alpha: [51, 142, 61],
    beta: [52, 143, 62],
    production: [53, 144, 63],
  })) {
    const after = await edited(["stage.ts", before, before.replace('"test"', JSON.stringify(stage))]);
    assert.deepEqual(changed(after), all);
    const ranges = [...bytes.map((byte) => `10.${byte}.0.0/16`), "203.0.113.0/24", `2001:db8:${bytes[0]}::/64`];
    for (const [path, { files }] of after) {
      if (path === "for-slides/test001") continue;
      const networkd = files.filter((one) => one.path.startsWith("/etc/systemd/network/10-"));
      const addresses = networkd.flatMap((one) =>
        one.kind === "file"
          ? [...one.text.matchAll(/^(?:Address|Gateway|DNS)=([^/\n]+)/gm)].map((match) => match[1]!)
          : [],
      );
      assert.ok(addresses.length >= 2, path);
      for (const address of addresses) {
        assert.ok(
          ranges.some((range) => isInside(address, parseNetwork(range)!)),
          `${path} has ${address} in ${stage}`,
        );
      }
    }
  }
});

test("images of all of them are built, each configuration judged by its program", async () => {
  const session = testSession();
  const { prepared: systems } = await prepareCentre(session, opened);
  const judged = [...systems.values()].flatMap(({ manifest }) => manifest.configurationChecks.map(({ name }) => name));
  for (const name of [
    ...[
      "named-checkconf",
      "nginx",
      "haproxy",
      "keepalived",
      "sshd",
      "unbound-checkconf",
      "squid",
      "slaptest",
      "sssctl",
    ],
    ...["mariadbd", "postgres", "scontrol", "visudo", "nft", "automount"],
  ]) {
    assert.ok(judged.includes(name), `${name} among ${[...new Set(judged)].join(", ")}`);
  }
  const built: string[] = [];
  for await (const { key, image } of buildImages(
    session,
    new Map([...systems].map(([key, prepared]) => [key, { prepared }])),
  )) {
    assert.ok(image.recipe.extents.length > 0);
    built.push(key);
  }
  assert.deepEqual(built, all);
});
