// Makes a fresh machine ready: npm packages, then Debian packages. Runs on whatever Node the machine has
// (18 or newer), before anything of the project itself can: plain JavaScript, no dependency.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** What building and booting needs from Debian, and why: printed before anything is installed. */
export const runtimePackages = {
  bubblewrap: "sandbox for build steps",
  ovmf: "UEFI firmware for QEMU",
  "qemu-system-x86": "boots the machines",
  "qemu-utils": "throw-away overlays for the machines' disks",
  "xz-utils": "decompresses Debian archives",
};

/** What the tests need beside that: the independent judges of what we write. */
export const testPackages = {
  age: "secrets encrypted for git, and decrypted",
  apt: "oracle of dependency resolution",
  "bind9-utils": "judges zones",
  "ceph-common": "publishes images to Ceph",
  "ceph-mon": "a real Ceph cluster on loopback: its monitor",
  "ceph-osd": "a real Ceph cluster on loopback: its store",
  cpio: "oracle of the initrd's archive",
  diffutils: "oracle of the differences between texts",
  dosfstools: "oracle of the FAT writer",
  dpkg: "oracle of version order and of archive contents",
  "dpkg-dev": "oracle of reading changelogs",
  e2fsprogs: "oracle of the ext4 writer",
  "erofs-utils": "oracle of the EROFS writer",
  fdisk: "oracle of the partition table",
  gpgv: "oracle of archive signatures",
  git: "the programs' provenance",
  "libvirt-clients": "drives a real libvirt",
  "libvirt-daemon": "a real libvirt",
  "libvirt-daemon-driver-storage-rbd": "lets libvirt see Ceph",
  "libvirt-daemon-system": "a real libvirt: its settings",
  "libcap2-bin": "reads capabilities for the comparison with an installed system",
  mmdebstrap: "oracle of composing: installs the same packages with every script run",
  mtools: "oracle of the FAT writer",
  "openssh-client": "logs in to the machines",
  "openssh-server": "oracle of sshd's configuration",
  nftables: "judges the rules of firewalls",
  "nix-bin": "oracle of store paths, archives, derivations and caches",
  openssl: "oracle of the certificate links",
  passwd: "oracle of the account files",
  patch: "applies the differences between texts",
  "qemu-block-extra": "boots machines from Ceph",
  systemd: "oracle of the generated units",
};

/** What the benchmark needs beside both: the peer. */
export const benchPackages = {
  time: "sees the processor time and memory of grandchildren",
  mmdebstrap: "the peer that the benchmark measures against",
};

/** Installs what is missing and returns the path of the pinned Node. Ends the process when it cannot. */
export function setUp(debianPackages) {
  installNpmPackages();
  installDebianPackages(debianPackages);
  return pinnedNode();
}

/** The Node that the project is written for, from the npm package that carries the binary. */
export function pinnedNode() {
  const architecture = { x64: "x64", arm64: "arm64" }[process.arch];
  const node = join(projectRoot, "node_modules", `node-linux-${architecture}`, "bin", "node");
  if (existsSync(node)) return node;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  fail(`Node 24 or newer is needed, this is ${process.version}, and no packaged one exists for ${process.arch}.`);
}

/** Runs a command with the pinned Node first in PATH, and ends the process with its exit code. */
export function runAndExit(command, args, env = {}) {
  const { status, signal } = spawnSync(command, args, {
    cwd: process.env.INIT_CWD && existsSync(process.env.INIT_CWD) ? process.env.INIT_CWD : projectRoot,
    stdio: "inherit",
    env: { ...process.env, PATH: `${dirname(pinnedNode())}:${process.env.PATH}`, ...env },
  });
  process.exit(signal ? 128 + 2 : (status ?? 1));
}

function installNpmPackages() {
  const lock = createHash("sha256")
    .update(readFileSync(join(projectRoot, "package-lock.json")))
    .digest("hex");
  const stamp = join(projectRoot, "node_modules", ".mesoforge-installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.log("Installing the npm packages that package-lock.json pins (npm ci), among them Node 24 itself");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: projectRoot, stdio: "inherit" });
  if (status !== 0) fail("npm ci failed; its message is above.");
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

function installDebianPackages(wanted) {
  const missing = Object.keys(wanted).filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  console.log("Debian packages that are missing here, and what they are for:");
  for (const name of missing) console.log(`  ${name.padEnd(18)} ${wanted[name]}`);
  const install = `apt-get install --yes --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid() !== 0) fail(`Run this as root, then start again:\n\n  sudo ${install}\n`);
  console.log(`Running: apt-get update && ${install}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...missing]]) {
    const { status } = spawnSync("apt-get", ["-q", ...args], { stdio: ["ignore", "inherit", "inherit"], env });
    if (status !== 0 && args[0] !== "update") fail(`apt-get could not install them; its message is above.`);
  }
}

function isInstalled(name) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation
  const { stdout } = spawnSync("dpkg-query", ["--show", "--showformat", "${db:Status-Status}", name], {
    encoding: "utf8",
  });
  return stdout === "installed";
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
