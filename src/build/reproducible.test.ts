import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import { importAll } from "../debian/import-all.ts";
import { openStore } from "../store/store.ts";
import { diskDigest, sha256sum } from "../test-support/disk-bytes.ts";
import { buildImage, type MesoOptions, projectFolder, runMeso } from "../test-support/meso-process.ts";
import { workplace } from "../test-support/seeded-store.ts";

/** A machine with something to put in another order. */
const manyProgram = `
import { basePackages, baseServices, debian, inherit } from "mesoforge";
import { chrony, openssh, rsyslog } from "mesoforge/services";
import mini from "./mini-1.ts";

const order = <T>(list: readonly T[]) => (process.env.TEST_ORDER === "reversed" ? list.toReversed() : list);

export default inherit(mini, {
  packages: order([...basePackages, "less", debian("lsof"), "tcpdump"]),
  services: order([...baseServices, openssh({}), chrony({}), rsyslog({})]),
});
`;

const place = await workplace({ "many.ts": manyProgram });
after(() => place.remove());
const isRoot = process.getuid!() === 0;

/** Builds raw and qcow2, checks that the hash printed is the same for both, and removes the files. */
async function build(program: string, outputFolder: string, sameFolder: string, options: MesoOptions) {
  const { imageHash, systemHash } = await buildImage(program, join(outputFolder, "disk.img"), options);
  const again = await buildImage(program, join(outputFolder, "disk.qcow2"), options);
  assert.equal(again.imageHash, imageHash);
  const [raw, qcow2] = [join(sameFolder, "disk.img"), join(sameFolder, "disk.qcow2")];
  const result = { systemHash, imageHash, raw: await diskDigest(raw), qcow2: await sha256sum(qcow2) };
  for (const file of [raw, qcow2]) rmSync(file);
  return result;
}

const turkish = { LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" };

const nobody = 65534;
const asNobody = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--no-new-privs"];

/** Why the build cannot be tried as another user; false when it can. */
function whyNoOtherUser(): string | false {
  if (!isRoot) return "only root may become another user; all builds of this run are unprivileged";
  const [command, ...words] = [...asNobody, "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"];
  const { status, stderr } = spawnSync(command!, words, { encoding: "utf8" });
  return status === 0 ? false : `no sandboxes for unprivileged users here: ${stderr}`;
}

function underUmask(mask: string): string[] {
  return ["/bin/sh", "-c", `umask ${mask} && exec "$@"`, "sh"];
}

/** In namespaces with another host name and no network at all; nothing where the kernel refuses that. */
function otherHost(): string[] {
  const unshare = ["unshare", ...(isRoot ? [] : ["--map-root-user"]), "--uts", "--net"];
  const wrapper = [...unshare, "/bin/sh", "-c", 'hostname elsewhere.example.org && exec "$@"', "sh"];
  return spawnSync(wrapper[0]!, [...wrapper.slice(1), "true"]).status === 0 ? wrapper : [];
}

/** Whether a path below `segments` belongs to an imported archive, rather than to what was computed. */
function isImported(path: string): boolean {
  const id = /[0-9a-f]{64}/.exec(path)?.[0];
  return id === undefined || place.archives.some(({ sha256 }) => sha256 === id);
}

const firstStore = place.coldStore("first");
const reference = await build(place.program("mini-1.ts"), place.folder, place.folder, { store: firstStore });

test("elsewhere: store, folders, HOME, zone, language, umask, host name, one processor, no network", async () => {
  const [away, home] = ["away", "home/deep"].map((name) => join(place.folder, name)) as [string, string];
  for (const folder of [away, home]) mkdirSync(folder, { recursive: true });
  const processor = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
  const store = place.coldStore("home/deep/another store");
  for (const name of readdirSync(join(store, "indices"))) {
    if (name.endsWith(".txt")) rmSync(join(store, "indices", name));
  }
  const elsewhere = await build("../programs/mini-1.ts", ".", away, {
    store,
    cwd: away,
    env: { ...turkish, HOME: home, TZ: "Pacific/Chatham", TMPDIR: home, XZ_OPT: "--memlimit=1MiB" },
    wrapper: [...otherHost(), ...underUmask("0077"), "taskset", "--cpu-list", processor],
  });
  assert.deepEqual(elsewhere, reference);
});

test("after the store is emptied, with archives imported in another order, one at a time", async () => {
  for (const name of ["segments", "items", "cache"]) rmSync(join(firstStore, name), { recursive: true });
  const store = openStore(firstStore);
  const archives = place.archives
    .toSorted((a, b) => a.size - b.size)
    .map(({ sha256, size }) => ({ file: store.archivePath(sha256), sha256, size }));
  for (const part of [archives.slice(0, 100), archives.slice(100)]) await importAll(store, part, { parallel: 1 });
  const again = await build(place.program("mini-1.ts"), place.folder, place.folder, {
    store: firstStore,
    env: { LANG: "C", LC_ALL: "C", TZ: undefined, HOME: undefined },
    wrapper: underUmask("0000"),
  });
  assert.deepEqual(again, reference);
});

test("services and packages in another order", async () => {
  const images = [];
  for (const [order, env] of [
    ["as listed", {}],
    ["reversed", turkish],
  ] as const) {
    const store = place.coldStore(order);
    // What is computed from all of them must be computed again; what each archive holds need not be.
    cpSync(join(firstStore, "segments"), join(store, "segments"), { recursive: true, filter: isImported });
    const program = place.program("many.ts");
    const options = { store, env: { ...env, TEST_ORDER: order } };
    images.push(await build(program, place.folder, place.folder, options));
  }
  assert.deepEqual(images[1], images[0]);
  assert.notEqual(images[0]!.raw, reference.raw);
});

test("as an unprivileged user", { skip: whyNoOtherUser() }, async () => {
  // Of its own: nobody may be able to look into the folders of the project and of the tests' store.
  const folder = mkdtempSync(join(tmpdir(), "meso-nobody-"));
  try {
    chmodSync(folder, 0o755);
    const inside = (name: string) => join(folder, name);
    for (const name of ["bin", "src", "package.json", "node_modules/openpgp"]) {
      cpSync(join(projectFolder, name), inside(`project/${name}`), { recursive: true });
    }
    copyFileSync(process.execPath, inside("node"), constants.COPYFILE_FICLONE);
    chmodSync(inside("node"), 0o755);
    const store = place.coldStore("to be given away");
    for (const from of [store, place.program(".")]) {
      execFileSync("cp", ["--archive", "--reflink=auto", from, inside(basename(from))]);
    }
    mkdirSync(inside("home"));
    const own = ["home", "programs", basename(store)].map(inside);
    execFileSync("chown", ["--recursive", `${nobody}:${nobody}`, ...own]);
    // A checkout made under umask 077 is its owner's alone, and so is a copy of it.
    execFileSync("chmod", ["--recursive", "a+rX", inside("project")]);
    const image = await build(inside("programs/mini-1.ts"), inside("home"), inside("home"), {
      store: inside(basename(store)),
      cwd: inside("home"),
      project: inside("project"),
      node: inside("node"),
      env: { HOME: inside("home"), USER: "nobody", LOGNAME: "nobody", TMPDIR: inside("home") },
      wrapper: asNobody,
    });
    assert.deepEqual(image, reference);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("without network and without what is needed, a build says so", async () => {
  const store = place.coldStore("lacking");
  rmSync(join(store, "archives", `${place.archives[0]!.sha256}.deb`));
  const output = join(place.folder, "never.img");
  const run = await runMeso(["system", "image", "--json", "-o", output, place.program("mini-1.ts")], { store });
  assert.equal(run.code, 1);
  assert.deepEqual(
    (JSON.parse(run.stdout) as { problems: { code: string }[] }).problems.map(({ code }) => code),
    ["mirror-unreachable"],
  );
  assert.equal(existsSync(output), false);
});
