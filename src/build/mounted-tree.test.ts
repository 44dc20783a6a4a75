import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, lstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { diskLayout, rootPartitionBytes } from "../image/disk.ts";
import type { SystemManifest } from "../system/manifest.ts";
import { type Shipped, shippedPaths, unpackArchives } from "../test-support/archive-listing.ts";
import { testSession } from "../test-support/test-session.ts";
import { diskImage } from "./disk-image.ts";
import { openSystem } from "./open-system.ts";
import { writeOutput } from "./output-file.ts";
import { prepareSystem } from "./prepare.ts";

/**
 * Paths that no archive ships and no service writes: what maintainer scripts and triggers make on other machines.
 * Anything else in an image is a mistake.
 */
const madeByHooks: readonly RegExp[] = [
  // mke2fs makes it, for e2fsck.
  /^\/lost\+found$/,
  // base-files: folders that its postinst makes, defaults of /etc and of root's home, logs.
  /^\/(media|mnt|opt|srv|etc\/opt|var\/(opt|mail|spool\/mail))$/,
  /^\/usr\/local(\/(bin|etc|games|include|lib|libexec|man|sbin|share|share\/man|src|share\/ca-certificates))?$/,
  /^\/(etc\/(profile|motd|networks|dpkg\/origins\/default)|root\/\.(bashrc|profile))$/,
  /^\/var\/log\/(btmp|lastlog|wtmp|journal)$/,
  // base-passwd, passwd, libpam-modules: accounts.
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid|security\/opasswd)$/,
  // debianutils: shells.
  /^\/(etc\/shells|var\/lib\/shells\.state)$/,
  // ca-certificates.
  /^\/etc\/(ca-certificates\.conf|ssl\/certs\/[^/]+)$/,
  // update-alternatives: its links, and the names that lead to them.
  /^\/etc\/alternatives\/[^/]+$/,
  /^\/usr\/(s?bin|share\/man\/([a-z]{2}\/)?man\d)\/(awk|editor|mt|nawk|pager|pico|rmt|which|builtins)(\.\d\.gz)?$/,
  // systemctl enable.
  /^\/etc\/systemd\/system\/(dbus-org\.freedesktop\.\w+\.service|[\w.@-]+\.(wants|requires)(\/[^/]+)?|sshd\.service|chronyd\.service|syslog\.service)$/,
  // Triggers: ldconfig, depmod, systemd-hwdb, journalctl --update-catalog; systemd's marks that all is done.
  /^\/(etc\/ld\.so\.cache|usr\/lib\/udev\/hwdb\.bin|var\/lib\/systemd\/catalog(\/database)?|(etc|var)\/\.updated)$/,
  /^\/usr\/lib\/modules\/[^/]+\/modules\.[a-z.]+$/,
  // apparmor's and ucf's debhelper fragments, chrony's empty keys, tcp wrappers, wtmpdb.
  /^\/etc\/(apparmor\.d\/local(\/[\w.]+)?|chrony\/chrony\.keys|hosts\.(allow|deny))$/,
  /^\/var\/lib\/(ucf\/(hashfile|registry)|wtmpdb(\/wtmp\.db)?)$/,
  // useradd: a home begins as a copy of /etc/skel.
  /^\/home\/\w+\/\.(bash_logout|bashrc|profile)$/,
  // kmod and util-linux.
  /^\/etc\/(modules|mtab)$/,
  // dpkg's own books.
  /^\/var\/lib\/dpkg\/.+$/,
];

/** Paths whose owner or mode differ from the archive's, as the package's own scripts would have them. */
const changedByScripts: readonly RegExp[] = [
  // dbus: set-uid for the group of the bus alone.
  /^\/usr\/lib\/dbus-1\.0\/dbus-daemon-launch-helper$/,
  // openssh-client, sudo, chrony, rsyslog: state overrides and modes of their scripts.
  /^\/(usr\/bin\/ssh-agent|etc\/sudoers|var\/lib\/chrony|var\/spool\/rsyslog)$/,
  // dpkg's own books, written anew.
  /^\/var\/lib\/dpkg\/(alternatives|parts|updates)$/,
  // base-files: links to /run since 2011, folders in the archive for debootstrap's sake.
  /^\/var\/(run|lock)$/,
];

const folder = mkdtempSync(join(tmpdir(), "meso-mounted-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const size = 4 * 2 ** 30;

for (const [program, type] of [
  ["mini-1.ts", "ext4"],
  ["server-1.ts", "erofs"],
] as const) {
  test(`${program} on ${type}: judged by the tools of others, and mounted, path by path`, async (context) => {
    const session = testSession();
    const prepared = await prepareSystem(session, await openSystem(join(examples, program)));
    const image = await diskImage(session, prepared, { size });
    const path = join(folder, `${type}.img`);
    await writeOutput(session, image, { path, format: "raw" });
    judge(path, type);
    const qcow2 = join(folder, `${type}.qcow2`);
    await writeOutput(session, image, { path: qcow2, format: "qcow2" });
    run("qemu-img", ["check", "-q", qcow2]);
    run("qemu-img", ["compare", "-q", "-f", "raw", "-F", "qcow2", path, qcow2]);

    const mountPoint = join(folder, `${type}-mounted`);
    mkdirSync(mountPoint);
    const options = `loop,ro,offset=${diskLayout.root.start},sizelimit=${rootPartitionBytes(size)}`;
    const mounted = spawnSync("mount", ["-t", type, "-o", options, path, mountPoint], { encoding: "utf8" });
    if (mounted.status !== 0) return context.diagnostic(`not mounted: ${mounted.stderr}`);
    try {
      const archives = prepared.packages.map(({ name, sha256 }) => ({ name, file: session.store.archivePath(sha256) }));
      const shipped = shippedPaths(archives);
      const unpacked = join(folder, `${type}-unpacked`);
      unpackArchives(archives, unpacked);
      compare({ mountPoint, unpacked, shipped, manifest: prepared.manifest });
    } finally {
      execFileSync("umount", [mountPoint]);
    }
  });
}

function judge(path: string, type: "ext4" | "erofs"): void {
  assert.match(run("sfdisk", ["--verify", path]), /No errors detected/);
  const efi = partition(path, diskLayout.efi.start, diskLayout.efi.length, "efi");
  run("fsck.fat", ["-n", efi]);
  const root = partition(path, diskLayout.root.start, rootPartitionBytes(size), "root");
  if (type === "ext4") run("e2fsck", ["-fn", root]);
  else run("fsck.erofs", [root]);
  for (const file of [efi, root]) rmSync(file);
}

/** A sparse copy of a partition, for tools that take no offset. */
function partition(disk: string, start: number, length: number, name: string): string {
  const file = join(folder, `${name}.part`);
  closeSync(openSync(file, "w"));
  const blocks = { skip: start / 2 ** 20, count: length / 2 ** 20 };
  run("dd", [`if=${disk}`, `of=${file}`, "bs=1M", `skip=${blocks.skip}`, `count=${blocks.count}`, "conv=sparse"]);
  return file;
}

interface Comparison {
  readonly mountPoint: string;
  readonly unpacked: string;
  readonly shipped: ReadonlyMap<string, readonly Shipped[]>;
  readonly manifest: SystemManifest;
}

function compare({ mountPoint, unpacked, shipped, manifest }: Comparison): void {
  const generated = new Set(manifest.files.map(({ path }) => path));
  const replaced = new Set(manifest.files.filter((file) => file.replacesPackageFile).map(({ path }) => path));
  const homes = new Set(manifest.users.map(({ home }) => home));
  const present = walk(mountPoint);
  const complaints: string[] = [];
  const parents = new Set([...generated].flatMap(parentsOf));
  for (const path of present) {
    const givers = shipped.get(path);
    if (givers) {
      if (!replaced.has(path)) complaints.push(...differences(mountPoint, unpacked, path, givers));
    } else if (
      !generated.has(path) &&
      !parents.has(path) &&
      !homes.has(path) &&
      !madeByHooks.some((one) => one.test(path))
    ) {
      complaints.push(`${path}: comes from nowhere`);
    }
  }
  const here = new Set(present);
  for (const path of shipped.keys()) if (!here.has(path)) complaints.push(`${path}: is missing`);
  for (const path of generated) if (!here.has(path)) complaints.push(`${path}: a service's file is missing`);
  const told = complaints.sort().slice(0, 200).join("\n");
  assert.ok(complaints.length === 0, `${complaints.length} complaints:\n${told}`);
  assert.ok(present.length > 5000);
}

function differences(mountPoint: string, unpacked: string, path: string, givers: readonly Shipped[]): string[] {
  const stat = lstatSync(join(mountPoint, path));
  const kind = stat.isDirectory() ? "d" : stat.isSymbolicLink() ? "l" : "-";
  const is = {
    kind,
    mode: kind === "l" ? "" : (stat.mode & 0o7777).toString(8),
    owner: `${stat.uid}/${stat.gid}`,
    seconds: stat.mtimeMs / 1000,
    target: kind === "l" ? readlinkSync(join(mountPoint, path)) : "",
  };
  const matches = givers.some((giver) =>
    (Object.keys(is) as (keyof typeof is)[]).every((key) => String(giver[key]) === String(is[key])),
  );
  if (!matches && !changedByScripts.some((one) => one.test(path))) {
    return [`${path}: is ${JSON.stringify(is)}, archives say ${JSON.stringify(givers)}`];
  }
  if (kind !== "-") return [];
  const links = givers.map((giver) => giver.links);
  if (!links.includes(stat.nlink)) return [`${path}: has ${stat.nlink} names, not ${links}`];
  const same = readFileSync(join(mountPoint, path)).equals(readFileSync(join(unpacked, path)));
  return same ? [] : [`${path}: has other contents`];
}

function parentsOf(path: string): string[] {
  const names = path.split("/").slice(1, -1);
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}

/** Every path below, "/" left out. */
function walk(root: string): string[] {
  return run("find", [root, "-mindepth", "1", "-printf", "/%P\\0"]).split("\0").filter(Boolean);
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${error ?? ""}${stdout}${stderr}`);
  return stdout;
}
