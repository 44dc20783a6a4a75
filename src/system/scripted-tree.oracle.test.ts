import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { downloadOptions } from "../build/channel.ts";
import { realiseSystem } from "../build/compose.ts";
import { type PreparedSystem, prepareSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import { downloadAll } from "../debian/download.ts";
import { baseFileSystems, debian, fileSystem, label, operatingSystem } from "../index.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import { testSession } from "../test-support/test-session.ts";
import { fileCapability } from "./ledger/file-capability.ts";

/** Of each kind of thing that maintainer scripts do, a package that does it. */
const packages = [
  ...["linux-image-cloud-amd64", "systemd-sysv", "udev", "dbus", "openssh-server", "chrony", "rsyslog", "sudo", "cron"],
  ...["logrotate", "iputils-ping", "ca-certificates", "xz-utils", "fish", "tmux", "screen"],
  ...["bind9", "squid", "munge", "mtr-tiny", "postfix", "apache2", "php-fpm", "php-xml", "polkitd"],
  ...["apt-cacher-ng", "tftpd-hpa", "nslcd", "login"],
];

const scripted = spawnSync("mmdebstrap", ["--version"]).status === 0;
const skip = process.getuid?.() !== 0 ? "mmdebstrap's tree needs root" : !scripted && "mmdebstrap is not installed";

test("what composing leaves is what the maintainer scripts would have left", { skip, timeout: 900_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-scripted-"));
  try {
    const session = testSession();
    const prepared = await prepareSystem(session, bareSystem());
    await fetchArchives(session, prepared);
    const system = await realiseSystem(session, { ...prepared, manifest: withoutRecord(prepared) });
    const root = join(folder, "root");
    await buildScripted(session, prepared, join(folder, "repository"), root);
    const differences = compare(readScripted(root), readComposed(system.tree, system.readFile));
    const ours = (path: string) => Buffer.from(system.readFile(system.tree.get(path) as FileEntry)).toString("utf8");
    const theirs = (path: string) => readFileSync(join(root, path), "utf8");
    for (const path of ["/etc/passwd", "/etc/group"]) assert.deepEqual(nameless(ours(path)), nameless(theirs(path)));
    for (const path of ["/var/lib/dpkg/statoverride"]) assert.deepEqual(sorted(ours(path)), sorted(theirs(path)));
    assert.deepEqual(
      differences.filter((line) => !accepted.some((pattern) => pattern.test(line))),
      [],
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function bareSystem() {
  return operatingSystem({
    hostName: "scripted",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    packages: packages.map((name) => debian(name)),
    services: [],
  });
}

/** Only what packages bring: nothing that the record or its services say. */
function withoutRecord({ manifest }: PreparedSystem): PreparedSystem["manifest"] {
  return { ...manifest, files: [], enabledUnits: [], maskedUnits: [], checks: [] };
}

async function fetchArchives(session: BuildSession, { packages }: PreparedSystem): Promise<void> {
  const missing = packages.filter(({ sha256 }) => !existsSync(session.store.archivePath(sha256)));
  const requests = missing.map(({ archive, filename, sha256, size }) => ({ archive, path: filename, sha256, size }));
  if (requests.length > 0) await downloadAll(requests, downloadOptions(session));
}

/** The same archives, installed with every script run. */
async function buildScripted(
  session: BuildSession,
  prepared: PreparedSystem,
  repository: string,
  root: string,
): Promise<void> {
  mkdirSync(repository);
  const index = await prepared.channel.index();
  const stanzas = prepared.packages.map(({ name, version, architecture, sha256 }) => {
    const file = `${name}_${architecture}.deb`;
    linkOrCopy(session.store.archivePath(sha256), join(repository, file));
    const found = index.versions(name).find((one) => one.version === version && one.architecture === architecture);
    const fields = new Map([...found!.stanza.fields, ["Filename", `./${file}`]]);
    return [...fields].map(([field, value]) => `${field}: ${value}`).join("\n");
  });
  writeFileSync(join(repository, "Packages"), `${stanzas.join("\n\n")}\n`);
  const names = prepared.packages.map(({ name }) => name).join(",");
  const options = ["--quiet", "--mode=root", "--variant=custom", "--dpkgopt=force-unsafe-io", `--include=${names}`];
  const source = `deb [trusted=yes] copy:${repository} ./`;
  execFileSync("mmdebstrap", [...options, "", root, source], {
    env: { ...process.env, SOURCE_DATE_EPOCH: "1", DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    stdio: ["ignore", "ignore", "pipe"],
  });
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    writeFileSync(to, readFileSync(from));
  }
}

/** One path as both sides are brought to: numbers of accounts differ by design, names do not. */
interface Seen {
  readonly kind: string;
  readonly mode: string;
  readonly owner: string;
  /** Of a link. */
  readonly target: string;
  readonly capability: string;
  readonly content: () => Uint8Array;
}

const nothing = new Uint8Array();

function readScripted(root: string): Map<string, Seen> {
  const users = namesByNumber(readFileSync(join(root, "etc/passwd"), "utf8"));
  const groups = namesByNumber(readFileSync(join(root, "etc/group"), "utf8"));
  const capabilities = new Map(
    execFileSync("getcap", ["-r", root], { encoding: "utf8" })
      .split("\n")
      .map((line) => line.split(" "))
      .map(([path = "", clause = ""]) => [path.slice(root.length), fileCapability(clause) ?? clause] as const),
  );
  const seen = new Map<string, Seen>();
  const visit = (path: string): void => {
    const place = join(root, path);
    const status = lstatSync(place);
    const kind = status.isDirectory() ? "directory" : status.isSymbolicLink() ? "symlink" : "file";
    if (!status.isDirectory() && !status.isSymbolicLink() && !status.isFile()) return;
    seen.set(path, {
      kind,
      mode: kind === "symlink" ? "" : (status.mode & 0o7777).toString(8),
      owner: `${users.get(status.uid)}:${groups.get(status.gid)}`,
      target: kind === "symlink" ? readlinkSync(place) : "",
      capability: capabilities.get(path) ?? "",
      content: () => (kind === "file" ? readFileSync(place) : nothing),
    });
    if (kind === "directory") for (const name of readdirSync(place)) visit(join(path, name));
  };
  visit("/");
  return seen;
}

function readComposed(tree: FileTree, readFile: (entry: FileEntry) => Uint8Array): Map<string, Seen> {
  const text = (path: string) => Buffer.from(readFile(tree.get(path) as FileEntry)).toString("utf8");
  const users = namesByNumber(text("/etc/passwd"));
  const groups = namesByNumber(text("/etc/group"));
  const real = (entry: TreeEntry): TreeEntry => (entry.kind === "hardlink" ? tree.get(entry.target)! : entry);
  return new Map(
    [...tree].map(([path, named]) => {
      const entry = real(named);
      return [
        path,
        {
          kind: entry.kind,
          mode: entry.kind === "symlink" ? "" : entry.mode.toString(8),
          owner: `${users.get(entry.uid)}:${groups.get(entry.gid)}`,
          target: entry.kind === "symlink" ? entry.target : "",
          capability: Buffer.from(entry.xattrs?.["security.capability"] ?? nothing).toString("hex"),
          content: () => (entry.kind === "file" ? readFile(entry) : nothing),
        },
      ];
    }),
  );
}

function namesByNumber(text: string): Map<number, string> {
  return new Map(text.split("\n").map((line) => [Number(line.split(":")[2]), line.split(":")[0]!]));
}

/** Lines of an account file without the numbers. */
function nameless(text: string): string[] {
  return sorted(text.replace(/^([^:]*:[^:]*):\d+(:\d+)?:/gm, "$1:"));
}

function sorted(text: string): string[] {
  return text.split("\n").sort();
}

function compare(scripted: Map<string, Seen>, composed: Map<string, Seen>): string[] {
  const paths = [...new Set([...scripted.keys(), ...composed.keys()])].sort();
  return paths.flatMap((path) => {
    const [theirs, ours] = [scripted.get(path), composed.get(path)];
    if (theirs === undefined) return `only composed: ${path}`;
    if (ours === undefined) return `only scripted: ${path}`;
    const found: string[] = [];
    for (const what of ["kind", "mode", "owner", "target", "capability"] as const) {
      if (theirs[what] !== ours[what]) found.push(`${what}: ${path}: ${theirs[what]} became ${ours[what]}`);
    }
    if (!Buffer.from(theirs.content()).equals(ours.content())) found.push(`content: ${path}`);
    return found;
  });
}

/** What may differ, and why. */
const accepted: readonly RegExp[] = [
  // Numbers, orders of lines and passwords' ages; names, homes, members and modes are compared as accounts below.
  /^content: \/etc\/(passwd|group|shadow|gshadow)$/,
  /^only scripted: \/etc\/(\.pwd\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-)$/,
  // The operating system record and the essential service say these.
  /^only scripted: \/etc\/(fstab|hostname|hosts|locale\.conf|locale\.gen|localtime|timezone|machine-id|resolv\.conf|vconsole\.conf)$/,
  /^only scripted: \/etc\/(default\/locale|pam\.d\/common-.*|kernel-img\.conf)$/,
  /^only scripted: \/var\/lib\/pam\/.*/,
  // The image has a boot path of its own.
  /^only scripted: \/(boot\/initrd\.img-.*|(vmlinuz|initrd\.img)(\.old)?|etc\/initramfs-tools\/modules|var\/lib\/initramfs-tools.*)$/,
  // Units run because a service of the record says so; links of rc?.d are read for units that do not exist only.
  /^only scripted: \/etc\/systemd\/(system|user)\/.*/,
  /^only scripted: \/etc\/rc[0-6S]\.d\/.*/,
  // Secrets, which must never be in an image.
  /^only scripted: \/etc\/(bind\/rndc\.key|munge\/munge\.key|ssh\/ssh_host_.*_key(\.pub)?)$/,
  // Settings that debconf's answers would make: services supply them.
  /^only scripted: \/etc\/(aliases|aliases\.db|mailname|nslcd\.conf|postfix\/main\.cf|apt-cacher-ng\/zz_debconf\.conf)$/,
  /^(only scripted|content): \/var\/lib\/apt-cacher-ng\/.*/,
  // Registries that only upgrades and removals read.
  /^content: \/var\/lib\/ucf\/(hashfile|registry)$/,
  /^only scripted: \/var\/(lib\/(ucf|systemd\/deb-systemd-.*|apache2|php\/modules|update-rc\.d|python|sgml-base|xml-core)|cache\/debconf)(\/.*)?$/,
  /^only scripted: \/var\/lib\/dpkg\/(info\/.*|lock|lock-frontend|triggers\/.*|.*-old|cmethopt)$/,
  /^only composed: \/var\/lib\/dpkg\/available$/,
  /^(content|mode): \/var\/lib\/dpkg\/(info\/.*|triggers\/.*)$/,
  // `status` has its fields in another order. Diversions that protect files across a merge of /usr: recipes leave
  // out those of libc6 and base-files, and keep those that libfuse2t64 takes back when a question allows it.
  /^content: \/var\/lib\/dpkg\/(diversions|statoverride|status)$/,
  // Indices and caches of documents, manuals and byte-compiled Python.
  /^only scripted: \/(etc\/(xml|sgml)|usr\/share\/info|var\/cache\/man)\/.*/,
  /^(only scripted|content): \/.*\/__pycache__(\/.*)?$/,
  // systemd-tmpfiles makes these at every boot.
  /^(mode|owner): \/(etc\/credstore(\.encrypted)?|var\/log\/journal):/,
  /^only scripted: \/(root\/\.ssh|run\/.*|var\/log\/(README|private)|var\/(cache|lib)\/private|var\/lib\/systemd\/.*)$/,
  // The building host's: devices, apt's own state, logs of the installation.
  /^only scripted: \/(dev|var\/log|var\/lib\/apt|var\/cache\/(apt|ldconfig))(\/.*)?$/,
  /^only scripted: \/etc\/(apt\/.*|dpkg\/dpkg\.cfg\.d\/99mmdebstrap)$/,
  // Marks by which systemd sees that /etc and /var belong to this /usr.
  /^only composed: \/(etc|var)\/\.updated$/,
  // The names of its sources are those of the sandbox.
  /^content: \/usr\/lib\/udev\/hwdb\.bin(:.*)?$/,
  // A comment on top, which debconf's run writes.
  /^content: \/etc\/ca-certificates\.conf$/,
  // dpkg happens to configure these packages before base-files has made /usr/local, and their mkdir fails.
  /^only composed: \/usr\/local\/share\/(sgml|xml|zsh)(\/.*)?$/,
  // Scratch files: the scripts move or remove them at once, and nothing reads them.
  /^only composed: \/etc\/(default\/tftpd-hpa\.tmp|apt-cacher-ng\/oldconffiles)$/,
  /^only scripted: \/var\/lib\/smartmontools\/drivedb\/drivedb\.h\.raw$/,
];
