import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import {
  baseFileSystems,
  fileSystem,
  inherit,
  label,
  modify,
  modifyServices,
  operatingSystem,
  pipe,
  simpleService,
} from "../index.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { lowerSystem } from "../system/lower.ts";
import type { SystemManifest } from "../system/manifest.ts";
import { journal } from "./journal.ts";
import { openssh } from "./openssh.ts";
import { type StateFolder, state, stateFolder, withStateVolume } from "./state.ts";
import { mountUnit } from "./state-units.ts";

const top = mkdtempSync(join(tmpdir(), "meso-state-"));
after(() => rmSync(top, { recursive: true, force: true }));

const root = fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" });
const plain = operatingSystem({ hostName: "keeper", fileSystems: [root, ...baseFileSystems] });
const keeping = (...folders: readonly StateFolder[]) => simpleService("keeping", state, folders);
const database = stateFolder("/var/lib/my-db", { user: "daemon", mode: 0o700, units: ["db.service"] });
const withServices = (...services: OperatingSystem["services"]) =>
  inherit(plain, (os) => ({ services: [...os.services, ...services] }));

function textOf({ files }: SystemManifest, path: RegExp): string {
  const file = files.find((one) => path.test(one.path));
  assert.ok(file?.kind === "file", `${path} is written`);
  return file.text;
}

const unitText = (manifest: SystemManifest, name: string) =>
  textOf(manifest, new RegExp(`^/etc/systemd/system/${name.replace(/[\\.]/g, "\\$&")}$`));

test("without a disk a kept folder is one of the root file system", () => {
  const manifest = lowerSystem(withServices(keeping(database)));
  assert.match(textOf(manifest, /tmpfiles\.d\/meso\.conf$/), /^d \/var\/lib\/my-db 0700 daemon daemon -$/m);
  assert.ok(!manifest.files.some(({ path }) => path.includes("meso-state") || path.endsWith(".mount")));
  assert.ok(!manifest.packages.some(({ name }) => name === "lvm2"));
});

test("with a disk, folders are bound to where services expect them, and units need them there", () => {
  const manifest = lowerSystem(pipe(withServices(keeping(database), openssh()), withStateVolume({ size: "1.5GiB" })));
  assert.match(unitText(manifest, "meso-state-state.service"), / state state 1610612736 ext4$/m);
  const mount = unitText(manifest, "var-lib-my\\x2ddb.mount");
  assert.match(mount, /^What=\/var\/lib\/meso\/folders\/var\/lib\/my-db\nWhere=\/var\/lib\/my-db$/m);
  const needs = (name: string) => unitText(manifest, `${name}.d/meso-state.conf`);
  assert.match(needs("db.service"), /^RequiresMountsFor=\/var\/lib\/my-db$/m);
  assert.match(needs("ssh-host-key.service"), /^RequiresMountsFor=\/var\/lib\/ssh$/m);
  assert.ok(manifest.kernel.arguments.includes("meso.state=state"));
  assert.ok(manifest.enabledUnits.includes("var-lib-my\\x2ddb.mount"));
  assert.match(unitText(manifest, "meso-state-state-open.service"), / \/var\/lib\/my-db \/var\/lib\/ssh$/m);
});

test("a persistent journal is kept, and stays in memory while its disk is missing", () => {
  const os = inherit(plain, (old) => ({
    services: modifyServices(old.services, modify(journal, { storage: "persistent" })),
  }));
  const manifest = lowerSystem(withStateVolume()(os));
  assert.match(textOf(manifest, /tmpfiles\.d\/meso\.conf$/), /^d \/var\/log\/journal 2755 root systemd-journal -$/m);
  assert.match(unitText(manifest, "systemd-journal-flush.service.d/meso-state.conf"), /=\/var\/log\/journal$/m);
});

test("a further volume has its own place, and the folders below it lie there", () => {
  const volumes = { data: { size: "100GiB", fileSystem: "xfs" as const, mountPoint: "/var/lib/my-db" } };
  const manifest = lowerSystem(pipe(withServices(keeping(database)), withStateVolume({ disk: "big", volumes })));
  assert.match(unitText(manifest, "meso-state-data.service"), / big data 107374182400 xfs$/m);
  assert.match(unitText(manifest, "meso-state-data.service"), /^After=.* meso-state-state\.service$/m);
  assert.match(unitText(manifest, "var-lib-my\\x2ddb.mount"), /^What=\/run\/meso\/state\/data$/m);
  assert.ok(manifest.packages.some(({ name }) => name === "xfsprogs"));
});

test("two who keep one folder agree on it; what cannot be a volume is refused", () => {
  const both = (one: StateFolder, other: StateFolder) =>
    lowerSystem(
      pipe(withServices(simpleService("one", state, [one]), simpleService("other", state, [other])), withStateVolume()),
    );
  const needs = unitText(both(database, { ...database, units: ["other.service"] }), "other.service.d/meso-state.conf");
  assert.match(needs, /my-db/);
  assert.throws(() => both(database, { ...database, mode: 0o755 }), { code: "conflicting-values", message: /my-db/ });
  assert.throws(() => both(database, stateFolder("/var/lib/a b")), { code: "wrong-path" });
  const refused = (options: Parameters<typeof withStateVolume>[0], code: string) =>
    assert.throws(() => lowerSystem(withStateVolume(options)(plain)), { code }, JSON.stringify(options));
  refused({ disk: "a,b" }, "wrong-name");
  refused({ size: "1 GB and more" }, "wrong-value");
  refused({ size: "1KiB" }, "wrong-value");
  refused({ fileSystem: "btrfs" as never }, "wrong-value");
  const at = (mountPoint: string, name = "data") => ({ volumes: { [name]: { size: "1GiB", mountPoint } } });
  refused(at("/srv", "state"), "wrong-name");
  refused(at("/srv", "a-b"), "wrong-name");
  refused(at("srv"), "wrong-path");
  refused(at("/var/lib/meso"), "wrong-path");
});

test("units of mounts are named as systemd-escape names them", { skip: !existsSync("/usr/bin/systemd-escape") }, () => {
  const paths = ["/srv", "/var/lib/my-db", "/var/lib/.hidden/a_b", "/a/b.c/d--e", "/.a"];
  const theirs = execFileSync("systemd-escape", ["--path", "--suffix=mount", ...paths], { encoding: "utf8" });
  assert.equal(paths.map(mountUnit).join(" "), theirs.trim());
});

test("systemd accepts the units of a state disk", { skip: !existsSync("/usr/bin/systemd-analyze") }, () => {
  const volumes = { data: { size: "1GiB", mountPoint: "/srv/data" } };
  const manifest = lowerSystem(pipe(withServices(keeping(database)), withStateVolume({ volumes })));
  const units = manifest.files.flatMap((file) => {
    const name = /^\/etc\/systemd\/system\/([^/]*(?:meso-state|var-lib|srv)[^/]*)$/.exec(file.path)?.[1];
    if (name === undefined || file.kind !== "file") return [];
    const path = join(top, "units", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.text.replace(/=\/meso\/store\/\S+/g, "=/bin/true"));
    return [path];
  });
  assert.equal(units.length, 7);
  const verified = spawnSync("systemd-analyze", ["verify", "--man=no", ...units], { encoding: "utf8" });
  assert.deepEqual(
    verified.stderr.split("\n").filter((line) => /meso|var-lib|srv/.test(line)),
    [],
  );
});

/** The program of the volume `state`, with 64 MiB wanted, on a disk that is a file; LVM only writes down what it is asked. */
function prepare(
  disk: string,
  { owner = "", volume = "" } = {},
): { status: number | null; said: string; asked: string } {
  const manifest = lowerSystem(withStateVolume({ size: "64MiB" })(plain));
  const folder = mkdtempSync(join(top, "prepare-"));
  for (const name of ["bin", "block/fake"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "block/fake/serial"), "state");
  writeFileSync(join(folder, "machine-id"), `${"a".repeat(32)}\n`);
  const script = textOf(manifest, /-prepare-state-volume$/)
    .replaceAll("/sys/block/", `${folder}/block/`)
    .replace("disk=/dev/$(basename", `disk=${folder}/$(basename`)
    .replaceAll("/etc/machine-id", `${folder}/machine-id`)
    .replaceAll("/run/meso", `${folder}/run`)
    .replaceAll("/dev/console", `${folder}/console`)
    .replaceAll("sleep 1", "sleep 0.01");
  execFileSync("ln", ["-s", disk, join(folder, "fake")]);
  const fakes = {
    lvm: `echo "$@" >> ${folder}/asked; case $1 in pvs) echo '${owner}' ;; lvs) echo '${volume}' ;; esac`,
    blockdev: "[ $1 = --flushbufs ] || stat -Lc %s $2",
    "mkfs.ext4": `echo "$0 $@" >> ${folder}/asked`,
    ...{ modprobe: "", e2fsck: "", blkid: "echo ext4" },
  };
  for (const [name, text] of Object.entries(fakes)) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  const ran = spawnSync("/bin/sh", ["-c", script, "sh", "state", "state", String(64 << 20), "ext4"], {
    env: { PATH: `${folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: "C" },
    encoding: "utf8",
  });
  const asked = existsSync(join(folder, "asked")) ? readFileSync(join(folder, "asked"), "utf8") : "";
  return { status: ran.status, said: ran.stderr, asked };
}

function diskOf(name: string, ...writes: readonly (readonly [offset: number, bytes: string])[]): string {
  const path = join(top, name);
  writeFileSync(path, "");
  truncateSync(path, diskBytes);
  const opened = openSync(path, "r+");
  for (const [offset, bytes] of writes) writeSync(opened, bytes, offset, "latin1");
  closeSync(opened);
  return path;
}

const MiB = 1 << 20;
const diskBytes = 16 * MiB;

test("a blank disk becomes a volume group, and its record tells who the machine is", () => {
  const disk = diskOf("blank");
  const { status, asked, said } = prepare(disk);
  assert.equal(status, 0, said);
  const verbs = asked.split("\n").map((line) => line.split(" ")[0]!.replace(/^.*\//, ""));
  assert.deepEqual(
    verbs.filter((verb) => verb !== ""),
    ["pvs", "pvcreate", "vgcreate", "lvs", "pvresize", "lvcreate", "lvchange", "mkfs.ext4", "lvchange"],
  );
  assert.match(asked, /^lvcreate .*--size 67108864b --addtag meso\.unformatted meso-state$/m);
  const record = readFileSync(disk)
    .subarray(MiB, MiB + 512)
    .toString("latin1");
  assert.match(record, /^meso-state 1\nmachine-id a{32}\n\0+$/);
});

test("what holds anything is left alone, byte for byte", () => {
  const foreign = {
    "a file system": [[1080, "\x53\xef"]],
    "its first bytes": [[0, "\x01"]],
    "its second MiB": [[MiB + 4096, "x"]],
    "its last bytes": [[diskBytes - 1, "\x01"]],
    "a partition table": [
      [510, "\x55\xaa"],
      [446 + 4, "\x83"],
      [446 + 8, "\0\x08\0\0\0\x08\0\0"],
    ],
    "another's record": [[MiB, "meso-state 2\n"]],
    "a swap area on what was ours": [
      [4086, "SWAPSPACE2"],
      [1024, "\x01\0\0\0\xff\x7f\0\0"],
      [MiB, "meso-state 1\n"],
    ],
  } as const satisfies Readonly<Record<string, readonly (readonly [number, string])[]>>;
  for (const [name, writes] of Object.entries(foreign)) {
    const disk = diskOf("foreign", ...(writes as readonly (readonly [number, string])[]));
    const before = execFileSync("sha256sum", [disk], { encoding: "utf8" });
    const { status, asked, said } = prepare(disk);
    assert.equal(status, 1, `${name}: ${said}`);
    assert.match(said, /^the disk state \(.*\) holds .* and was not made by this system: it is left alone/m, name);
    assert.doesNotMatch(asked, /create|extend|change|mkfs/, name);
    assert.equal(execFileSync("sha256sum", [disk], { encoding: "utf8" }), before, name);
  }
  for (const owner of ["other/meso.state/1048576", "meso-state//1048576", "meso-state/meso.state/0"]) {
    const { status, asked } = prepare(diskOf("foreign", [MiB, "meso-state 1\n"]), { owner });
    assert.deepEqual([status, /create|extend|change|mkfs/.test(asked)], [1, false], owner);
  }
});

test("who was killed at any point goes on", () => {
  const record: readonly [number, string] = [MiB, "meso-state 1\n"];
  for (const owner of ["", "//1048576"]) {
    const { status, asked } = prepare(diskOf("begun", record), { owner });
    assert.equal(status, 0);
    assert.match(asked, /^pvcreate[\s\S]*^vgcreate[\s\S]*^lvcreate/m, owner);
  }
  const owner = "meso-state/meso.state/1048576";
  const grouped = prepare(diskOf("begun", record), { owner });
  assert.match(grouped.asked, /^lvcreate[\s\S]*mkfs/m);
  assert.doesNotMatch(grouped.asked, /pvcreate|vgcreate/);
  const unformatted = prepare(diskOf("begun", record), { owner, volume: "67108864/meso.unformatted" });
  assert.match(unformatted.asked, /mkfs[\s\S]*^lvchange .*--deltag meso\.unformatted meso-state\/state$/m);
  assert.doesNotMatch(unformatted.asked, /lvcreate|lvextend/);
  const whole = prepare(diskOf("begun", record), { owner, volume: "67108864/" });
  assert.equal(whole.status, 0);
  assert.doesNotMatch(whole.asked, /create|extend|mkfs|addtag|deltag/);
});

test("a volume grows, and is not shrunk; a machine-id that is kept is not overwritten", () => {
  const owner = "meso-state/meso.state/1048576";
  const disk = () => diskOf("grown", [MiB, `meso-state 1\nmachine-id ${"b".repeat(32)}\n`]);
  const small = prepare(disk(), { owner, volume: "16777216/" });
  assert.match(small.asked, /^lvextend .*--size 67108864b meso-state\/state$/m);
  assert.match(small.said, /its machine-id is not the one that is kept there/);
  assert.ok(readFileSync(join(top, "grown")).subarray(MiB).toString("latin1", 0, 60).includes("b".repeat(32)));
  const large = prepare(disk(), { owner, volume: "134217728/" });
  assert.equal(large.status, 0);
  assert.match(large.said, /has 128 MiB, and 64 are declared: it stays as it is/);
  assert.doesNotMatch(large.asked, /lvextend|lvreduce|resize/);
});

test("folders begin with what the image has there, once", () => {
  const manifest = lowerSystem(pipe(withServices(keeping(database)), withStateVolume()));
  const script = textOf(manifest, /-open-state-volume$/);
  const folder = join(top, "open");
  mkdirSync(join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "image/deep"), { recursive: true });
  writeFileSync(join(folder, "image/deep/file"), "shipped");
  writeFileSync(join(folder, "bin/resize2fs"), "#!/bin/sh\n", { mode: 0o755 });
  const run = () =>
    spawnSync(
      "/bin/sh",
      ["-c", script, "sh", "/dev/x", "ext4", join(folder, "kept"), `${folder}/image`, "/nowhere/at"],
      {
        env: { PATH: `${folder}/bin:/usr/bin:/bin` },
        encoding: "utf8",
      },
    );
  mkdirSync(join(folder, "kept"));
  assert.equal(run().status, 0, run().stderr);
  const kept = join(folder, "kept/folders", folder, "image/deep/file");
  assert.equal(readFileSync(kept, "utf8"), "shipped");
  assert.ok(existsSync(join(folder, "kept/folders/nowhere/at")));
  writeFileSync(kept, "changed");
  assert.equal(run().status, 0);
  assert.equal(readFileSync(kept, "utf8"), "changed");
});
