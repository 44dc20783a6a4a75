import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../base/hash.ts";
import { bootFiles, systemdBootPath } from "../image/boot/boot-files.ts";
import { grubCoreImage, grubTools } from "../image/boot/grub-core.ts";
import { buildDisk, diskLayout, rootPartitionBytes } from "../image/disk.ts";
import { writeErofs } from "../image/erofs/write-erofs.ts";
import { writeExt4 } from "../image/ext4/write-ext4.ts";
import type { DiskRecipe } from "../image/extent.ts";
import { writeFat } from "../image/fat/write-fat.ts";
import { buildInitrd } from "../image/initrd/build-initrd.ts";
import { rootArguments } from "../image/initrd/root-arguments.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import { lock } from "../store/lock.ts";
import { runInSandbox } from "../store/sandbox.ts";
import { toolRoot } from "../store/tool-root.ts";
import { testCacheFolder } from "../test-support/test-session.ts";

/**
 * For tests: a disk whose root is busybox, an init that tells what it sees, and Debian's guest agent. It powers off
 * when the agent or the power button says so, unless there is a file /run/deaf. Needs the Debian mirror; what it takes
 * from there is kept in `folder`.
 */
export async function toySystem(folder = join(testCacheFolder(), `toy-${sha256(wanted.join(" ")).slice(0, 8)}`)) {
  mkdirSync(folder, { recursive: true });
  const held = await lock(join(folder, "lock"));
  try {
    return await makeToySystem(folder);
  } finally {
    held.release();
  }
}

async function makeToySystem(folder: string) {
  const packages = fetchPackages(folder);
  const { kernelVersion, modulesFolder, kernel } = kernelOf(packages);
  const tools = toolTree(packages, ["grub-common", "grub-pc-bin", ...libraries, "kmod", "qemu-guest-agent"]);
  const read = (entry: FileEntry) => (entry.content.kind === "bytes" ? entry.content.bytes : new Uint8Array());
  const cacheDirectory = join(folder, "tools");
  const grub = await toolRoot({ tree: tools, read, cacheDirectory, ...grubTools });
  const coreImage = await grubCoreImage({ toolRoot: grub.directory, folder: join(folder, "grub") });
  const bootImage = readFileSync(join(packages, "grub-pc-bin/usr/lib/grub/i386-pc/boot.img"));
  const busybox = readFileSync(join(packages, "busybox-static/usr/bin/busybox"));
  const kmod = await toolRoot({
    tree: tools,
    read,
    cacheDirectory,
    binaries: ["/usr/sbin/depmod"],
    extraPaths: openedByKmod,
  });
  const agent = await toolRoot({ tree: tools, read, cacheDirectory, binaries: ["/usr/sbin/qemu-ga"] });
  const initrd = await buildInitrd({
    kernelVersion,
    // The power button.
    moduleNames: ["button", "evdev"],
    modulesDep: await modulesDep(kmod.directory, join(packages, kernelPackage(packages)), kernelVersion),
    modulesBuiltin: readFileSync(join(modulesFolder, "modules.builtin"), "utf8"),
    readModule: (path) => readFileSync(join(modulesFolder, path)),
    busybox,
  });
  const systemdBoot = contents(readFileSync(join(packages, `systemd-boot-efi${systemdBootPath("amd64")}`)));
  /** `name` is told on the console: TOY-NAME. Without agent, the machine hears only its power button. */
  const disk = (
    type: "ext4" | "erofs",
    { name = "toy", withAgent = true, kernelArguments = [] as string[] } = {},
  ): DiskRecipe => {
    const label = `toy-${type}`;
    const entry = {
      id: "toy",
      title: "Toy system",
      kernel: contents(kernel),
      initrd: contents(initrd),
      arguments: [
        ...rootArguments({ device: { kind: "label", label }, type }),
        ...["console=tty0", "console=ttyS0,115200", "panic=5", `toy.name=${name}`, `toy.agent=${withAgent}`],
        ...["toy.word=$a;{b}|c&d#e~", ...kernelArguments],
      ],
    };
    const files = bootFiles({ architecture: "amd64", entries: [entry], timeout: 1, systemdBoot });
    const efi = writeFat(files, {
      size: diskLayout.efi.length,
      label: "EFI",
      volumeId: 0x1234abcd,
      hiddenSectors: diskLayout.efi.start / 512,
    });
    const size = rootPartitionBytes();
    const uuid = "6d65736f-0000-4000-8000-000000000001";
    const tree = toyRoot(busybox, agent.directory);
    const root =
      type === "ext4"
        ? writeExt4(tree, { size, label, uuid, ...noSegments })
        : writeErofs(tree, { size, label, uuid, ...noSegments });
    return buildDisk({ architecture: "amd64", root, rootLabel: label, efi, grub: { bootImage, coreImage } });
  };
  return { disk, initrd, coreImage };
}

/** kmod 34 opens its decompressors by name at run time: without them it reads no .ko.xz, and says nothing. */
const openedByKmod = ["/usr/lib/x86_64-linux-gnu/liblzma.so.5", "/usr/lib/x86_64-linux-gnu/libzstd.so.1"];

const noSegments = { segments: new Map<string, number>(), segmentPlacement: new Map<string, number>() };

const libraries = ["libc6", "liblzma5", "libdevmapper1.02.1", "libkmod2", "libzstd1", "libssl3t64", "libselinux1"];
const moreLibraries = [
  "libudev1",
  "libpcre2-8-0",
  "libcap2",
  "zlib1g",
  "libglib2.0-0t64",
  "libnuma1",
  "liburing2",
  "libatomic1",
];
const programs = ["busybox-static", "grub-pc-bin", "grub-common", "systemd-boot-efi", "kmod", "qemu-guest-agent"];
const wanted = [...programs, ...libraries, ...moreLibraries];

const kernelPackage = (packages: string) => readdirSync(packages).find((name) => /^linux-image-\d/.test(name))!;

function kernelOf(packages: string) {
  const kernelVersion = kernelPackage(packages).replace("linux-image-", "");
  const root = join(packages, kernelPackage(packages));
  const kernel = readFileSync(join(root, "boot", `vmlinuz-${kernelVersion}`));
  const merged = join(root, "usr/lib/modules", kernelVersion);
  return {
    kernelVersion,
    kernel,
    modulesFolder: existsSync(merged) ? merged : join(root, "lib/modules", kernelVersion),
  };
}

/** depmod itself, in the sandbox: the first real user of tool roots. */
async function modulesDep(root: string, kernel: string, version: string): Promise<string> {
  const { stdout } = await runInSandbox({
    root,
    binds: [{ from: join(kernel, "usr/lib"), to: "/kernel/lib" }],
    command: ["/usr/sbin/depmod", "-n", "-b", "/kernel", version],
    timeoutSeconds: 120,
  });
  const text = stdout.toString();
  return text.slice(0, text.indexOf("# Aliases"));
}

/** Unpacked archives of trixie, one folder a package, from a private apt root that mirrors the host's sources. */
function fetchPackages(folder: string): string {
  const unpacked = join(folder, "packages");
  if (existsSync(join(unpacked, "done"))) return unpacked;
  const apt = privateApt(folder);
  apt("apt-get", "-q", "update");
  const depends = apt("apt-cache", "depends", "linux-image-cloud-amd64");
  const kernel = /Depends: (linux-image-\d\S+)/.exec(depends)![1]!;
  mkdirSync(join(folder, "debs"), { recursive: true });
  apt("apt-get", "-q", "download", kernel, ...wanted);
  for (const name of readdirSync(join(folder, "debs"))) {
    const into = join(unpacked, name.split("_")[0]!);
    mkdirSync(into, { recursive: true });
    execFileSync("dpkg-deb", ["-x", join(folder, "debs", name), into]);
  }
  writeFileSync(join(unpacked, "done"), "");
  return unpacked;
}

function privateApt(folder: string) {
  const inside = (name: string) => join(folder, "apt", name);
  for (const name of ["etc", "lists/partial", "cache/archives/partial", "state"])
    mkdirSync(inside(name), { recursive: true });
  writeFileSync(inside("state/status"), "");
  const uris = execFileSync("apt-get", ["indextargets", "--format", "$(SITE)"], { encoding: "utf8" }).split("\n");
  const site = uris.find((uri) => !uri.includes("security") && uri.endsWith("/debian")) ?? uris[0]!;
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const source = ["Types: deb", `URIs: ${site}`, "Suites: trixie", "Components: main", `Signed-By: ${keyring}`];
  writeFileSync(inside("etc/debian.sources"), `${source.join("\n")}\n`);
  const settings = {
    "Dir::Etc::SourceList": "/dev/null",
    "Dir::Etc::SourceParts": `${inside("etc")}/`,
    "Dir::State": inside("state"),
    "Dir::State::Lists": inside("lists"),
    "Dir::State::status": inside("state/status"),
    "Dir::Cache": inside("cache"),
    "APT::Architecture": "amd64",
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
  writeFileSync(inside("apt.conf"), `${lines.join("")}APT::Architectures {"amd64";};\n`);
  const env = { ...process.env, APT_CONFIG: inside("apt.conf") };
  return (program: string, ...args: string[]) =>
    execFileSync(program, args, { env, cwd: join(folder, args.includes("download") ? "debs" : "."), encoding: "utf8" });
}

function toolTree(packages: string, names: readonly string[]): FileTree {
  const tree = new Map<string, TreeEntry>();
  for (const name of [...names, ...moreLibraries]) addFolder(tree, join(packages, name), "");
  return tree;
}

const attributes = { uid: 0, gid: 0, mtime: 0, origin: "toy" };

function addFolder(tree: Map<string, TreeEntry>, root: string, path: string): void {
  tree.set(path || "/", { ...attributes, kind: "directory", mode: 0o755 });
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const inside = `${path}/${entry.name}`;
    if (entry.isDirectory()) addFolder(tree, root, inside);
    else if (entry.isSymbolicLink()) {
      const target = execFileSync("readlink", [join(root, inside)], { encoding: "utf8" }).trim();
      tree.set(inside, { ...attributes, kind: "symlink", mode: 0o777, target });
    } else {
      tree.set(inside, { ...attributes, kind: "file", mode: 0o755, ...contents(readFileSync(join(root, inside))) });
    }
  }
}

function contents(bytes: Uint8Array): Pick<FileEntry, "size" | "content"> {
  return { size: bytes.length, content: { kind: "bytes", bytes } };
}

/** Tells how it was started, tries to write, and obeys the console. */
const toyInit = `#!/bin/busybox sh
bb=/bin/busybox
echo "TOY-STARTED uefi=$([ -d /sys/firmware/efi ] && echo yes || echo no) pid=$$"
echo "TOY-ROOT $($bb sed -n 's|^[^ ]* / \\([^ ]*\\) .*|\\1|p' /proc/mounts | $bb tail -n 1)"
echo "TOY-ARGUMENTS $($bb cat /proc/cmdline)"
echo "TOY-NAME $($bb sed 's/.*toy.name=\\([^ ]*\\).*/\\1/' /proc/cmdline)"
echo hello >/written && echo "TOY-WROTE $($bb cat /written)"
$bb acpid -d -c /etc/acpi -l /dev/null 2>/dev/null &
for port in /sys/class/virtio-ports/*; do
  $bb grep -q 'toy.agent=true' /proc/cmdline || break
  [ "$($bb cat $port/name 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
  /usr/sbin/qemu-ga -m virtio-serial -p /dev/\${port##*/} -t /run &
done
while read -r line; do
  case "$line" in
    off) $bb poweroff -f ;;
    *) echo "TOY-HEARD $line" ;;
  esac
done
`;

const toyPowerOff = `#!/bin/sh
[ -e /run/deaf ] || /bin/busybox poweroff -f
`;

function toyRoot(busybox: Uint8Array, agent: string): FileTree {
  const folders = [
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/etc/acpi",
    "/etc/acpi/PWRF",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
  ];
  const tree = new Map<string, TreeEntry>();
  addFolder(tree, agent, "");
  for (const path of folders) tree.set(path, { ...attributes, kind: "directory", mode: 0o755 });
  const program = (path: string, bytes: Uint8Array) =>
    tree.set(path, { ...attributes, kind: "file", mode: 0o755, ...contents(bytes) });
  program("/bin/busybox", busybox);
  for (const name of ["sh", "cat", "sleep"]) {
    tree.set(`/bin/${name}`, { ...attributes, kind: "symlink", mode: 0o777, target: "busybox" });
  }
  program("/sbin/init", Buffer.from(toyInit));
  // What the agent runs to power off, and what acpid runs when the button is pressed.
  for (const path of ["/sbin/shutdown", "/sbin/poweroff", "/etc/acpi/PWRF/00000080"]) {
    program(path, Buffer.from(toyPowerOff));
  }
  return tree;
}
