import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { PackageIndex } from "./package-index.ts";
import { openPackageIndex } from "./package-index.ts";
import { inventedText } from "./package-index-fixture.testing.ts";
import { writePackageIndex } from "./package-index-writer.ts";
import type { ResolveRequest } from "./resolve.ts";
import { resolve } from "./resolve.ts";
import type { AptOracle } from "./resolve-apt-oracle.testing.ts";
import { aptOverMirror, aptOverText } from "./resolve-apt-oracle.testing.ts";

/**
 * The resolver against apt itself, over the configured mirror: the same names, sizes and digests, no difference
 * allowed. Each line is one request; words of a line are requested together.
 */
const servers = `
  vim | emacs-nox | nano | mariadb-server | postgresql | python3 | python3-numpy | gcc | g++ | gfortran | clang
  slurm-wlm | slurmctld | slurmd slurm-client | ceph-common | zabbix-agent | zabbix-server-mysql | slapd | samba
  sssd | nslcd | nfs-kernel-server | autofs | bind9 | unbound | nginx | apache2 | squid | haproxy | keepalived
  ipvsadm | chrony | rsyslog | openssh-server | podman | git | postfix | exim4 | mdadm | lvm2 | grub-pc
  linux-image-cloud-amd64 | linux-image-amd64 | systemd-sysv | qemu-guest-agent | prometheus-node-exporter
  openmpi-bin | r-base-core | default-jdk-headless | nodejs | docker.io | munge | mutt | mailutils | frr | corosync
  libvirt-daemon-system | php-fpm | wordpress | ansible | build-essential | network-manager | dovecot-imapd
  texlive-latex-base | vim-gtk3 | tk-itk4 | bacula-server | libreoffice-writer | logrotate cron at | sendmail
  mariadb-server postfix php | exim4-daemon-heavy mutt | default-mta
  linux-image-cloud-amd64 systemd-sysv udev dbus libpam-systemd openssh-server chrony rsyslog qemu-guest-agent iproute2
`;
const olderServers = `
  vim | emacs-nox | mariadb-server | postgresql | python3-numpy | gcc | slurm-wlm | ceph-common | zabbix-agent | slapd
  samba | sssd | nfs-kernel-server | nginx | podman | exim4 | lvm2 | linux-image-amd64 | systemd-sysv | munge
  openmpi-bin | default-jdk-headless | php | mutt | rkhunter
  linux-image-cloud-amd64 systemd-sysv udev dbus libpam-systemd openssh-server chrony rsyslog qemu-guest-agent iproute2
`;

const folder = mkdtempSync(join(tmpdir(), "meso-oracle-"));
after(() => rmSync(folder, { recursive: true }));

for (const { suite, requests } of [
  { suite: "trixie", requests: requestsOf(servers) },
  { suite: "bookworm", requests: requestsOf(olderServers) },
]) {
  test(`${suite}: ${requests.length} requests give what apt-get gives in an empty root`, async () => {
    const apt = await aptOverMirror(suite, "amd64");
    using index = await indexOf(apt, suite);
    const essential = index.essential().map(({ name }) => name);
    assert.ok(essential.length > 20);
    await inPairs(requests, async (names) => {
      const expected = await apt.install([...essential, ...names]);
      assert.ok(expected !== undefined, `apt cannot install ${names}: take it out of the list`);
      assert.deepEqual(choicesOf(index, { install: names.map((name) => ({ name })) }), expected, names.join(" "));
    });
  });
}

test("trixie: with Recommends, and from a named suite", async () => {
  const apt = await aptOverMirror("trixie", "amd64");
  using index = await indexOf(apt, "trixie");
  const essential = index.essential().map(({ name }) => name);
  for (const name of ["vim", "git", "slurmd"]) {
    assert.deepEqual(
      choicesOf(index, { install: [{ name }], includeRecommends: true }),
      await apt.install([...essential, name], ["--install-recommends"]),
      `${name} with Recommends`,
    );
  }
  const fromMain = choicesOf(index, { install: [{ name: "openssl-provider-legacy", from: "trixie" }] });
  const expected = await apt.install([...essential, "openssl-provider-legacy/trixie"]);
  assert.deepEqual(fromMain, expected);
});

test("invented packages: architectures, qualifiers and equal providers as apt takes them", async () => {
  const text = inventedText([
    { Package: "plain" },
    { Package: "allowed", "Multi-Arch": "allowed" },
    { Package: "foreign", "Multi-Arch": "foreign" },
    { Package: "same", "Multi-Arch": "same" },
    { Package: "same", "Multi-Arch": "same", Architecture: "i386" },
    { Package: "plain", Architecture: "i386", Version: "2" },
    { Package: "everywhere", Architecture: "all" },
    { Package: "only-i386", Architecture: "i386" },
    { Package: "only-i386-foreign", Architecture: "i386", "Multi-Arch": "foreign" },
    { Package: "provider-plain", Provides: "virtual" },
    { Package: "provider-allowed", Provides: "virtual-allowed", "Multi-Arch": "allowed" },
    { Package: "tie-b", Provides: "tie" },
    { Package: "tie-c", Provides: "tie", Priority: "optional" },
    { Package: "tie-a", Provides: "tie" },
    { Package: "ranked-a", Provides: "ranked", Priority: "important" },
    { Package: "ranked-b", Provides: "ranked", Priority: "optional" },
    { Package: "versioned", Provides: "v (= 2)" },
    { Package: "unversioned", Provides: "v" },
    ...[
      "plain:any",
      "allowed:any",
      "foreign:any",
      "same:any",
      "virtual:any",
      "virtual-allowed:any",
      "plain:amd64",
      "plain:i386",
      "only-i386",
      "only-i386-foreign",
      "only-i386:i386",
      "tie",
      "ranked",
      "v (>= 1)",
      "v (>= 3)",
      "everywhere",
      "absent | tie",
      "tie | ranked",
      "same, same:i386",
      "plain, plain:i386",
      "plain (>= 2) | same",
    ].map((relation, number) => ({ Package: `native-${number}`, Depends: relation })),
    ...["plain", "foreign", "everywhere", "allowed:any", "allowed", "foreign:any", "same", "virtual"].map(
      (relation, number) => ({ Package: `guest-${number}`, Architecture: "i386", Depends: relation }),
    ),
  ]);
  const apt = await aptOverText(text, join(folder, "invented"), "amd64", ["i386"]);
  using index = await indexOf(apt, "invented-architectures");
  const names = index.names().filter((name) => /^(native|guest)-/.test(name));
  const outcomes = new Set<boolean>();
  for (const name of names) {
    const expected = await apt.install([name]);
    outcomes.add(expected === undefined);
    const ask = () =>
      choicesOf(index, { install: [{ name }], foreignArchitectures: ["i386"], includeEssential: false });
    if (expected === undefined) assert.throws(ask, { code: "unsatisfiable" }, `${name}: apt finds nothing`);
    else assert.deepEqual(ask(), expected, name);
  }
  assert.equal(outcomes.size, 2, "some can be installed and some cannot");
});

function requestsOf(text: string): string[][] {
  return text
    .split(/[|\n]/)
    .map((line) => line.split(" ").filter((word) => word !== ""))
    .filter((words) => words.length > 0)
    .map((words) => [...words].sort());
}

async function indexOf(apt: AptOracle, name: string): Promise<PackageIndex> {
  const file = join(folder, `${name}.index`);
  await writePackageIndex(file, apt.texts());
  return openPackageIndex(file);
}

function choicesOf(index: PackageIndex, request: Partial<ResolveRequest> & Pick<ResolveRequest, "install">) {
  const { packages } = resolve(index, { architecture: "amd64", ...request });
  return packages
    .map(({ name, sha256, size }) => ({ name, sha256, size }))
    .sort((a, b) => (a.name === b.name ? (a.sha256 < b.sha256 ? -1 : 1) : a.name < b.name ? -1 : 1));
}

/** Two at a time: apt is another process. */
async function inPairs<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all([worker(), worker()]);
}
