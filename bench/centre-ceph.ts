// npm run bench -- ceph: what it costs to build a centre of 94 machines and to publish it to a real Ceph cluster on
// loopback. Nothing here is asserted: the numbers are for docs/performance.md.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { formatBytes } from "../src/base/progress.ts";
import { buildImages, prepareSystems } from "../src/build/build-systems.ts";
import type { DiskImage } from "../src/build/disk-image.ts";
import { fetchSegments } from "../src/build/fetch-archives.ts";
import { allPackages, type ResolvedSystem } from "../src/build/prepare.ts";
import { changedBlocks } from "../src/image/output/recipe-identity.ts";
import type { ImageAbout } from "../src/pools/about.ts";
import { openCephPool } from "../src/pools/ceph/ceph-pool.ts";
import type { Pool, Publication, PublishReport } from "../src/pools/pool.ts";
import { publishInBatches } from "../src/pools/publish-in-batches.ts";
import { startCephCluster } from "../src/test-support/ceph-cluster.ts";
import { freshSession } from "../src/test-support/test-session.ts";
import { table } from "./measure.ts";
import { syntheticCentre } from "./synthetic-centre.ts";
import { withUpdatedPackage } from "./update-package.ts";

type Systems = ReadonlyMap<string, ResolvedSystem>;

const identities = new Map<string, string>();
const library = { name: "libssl3t64", file: "usr/share/doc/libssl3t64/copyright" };
const small = { name: "rsyslog", file: "usr/share/doc/rsyslog/copyright" };
const session = freshSession();
process.on("exit", session.remove);
const { store } = session;
/** `-- ceph 12`: only about so many machines, spread over all roles, to try something. */
const machines = Number(process.argv[2] ?? Infinity);
const systems = await prepareSystems(session, someOf(syntheticCentre(), machines));
const archives = new Map([...systems.values()].flatMap(allPackages).map((one) => [one.sha256, one]));
const segments = await fetchSegments(session, [...archives.values()]);
const updated = withUpdatedPackage(session, systems, library);
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, Node ${process.version}`);
console.log(`${systems.size} machines, ${archives.size} archives\n`);

const cluster = await startCephCluster({
  pools: ["rbd", "single", "import"],
  size: 100,
  parent: existsSync("/dev/shm") ? "/dev/shm" : tmpdir(),
});
const pool = poolNamed("rbd");
const rows: string[][] = [];
try {
  // What depends on the whole set of packages is kept, as it would be where the centre was built before.
  for await (const { image } of buildImages(session, wanted(systems))) void image;
  forgetImages();
  const first = await row("all built and published for the first time", "< 30 s", () => publishAll(systems, 1));
  const union = first.shared;
  await row("all published under another time, images built already", "", () => publishAll(systems, 3));
  await row("one rbd import of what they share, in one piece", "", () => importUnion(union));
  forgetImages();
  await row(`all built and published after an update of ${library.name}`, "< 20 s", () => publishAll(updated, 2));
  await row("published again, nothing changed", "", () => publishAll(updated, 2));
  await row("all listed", "", () => pool.list());
  console.log(table(["what", "wall s", "CPU s", "to the OSD", "shared", "own", "aim"], rows));
  for (const update of [library, small]) console.log(`\n${await oneMachine(update)}`);
} finally {
  await cluster.stop();
}

function someOf<T>(all: ReadonlyMap<string, T>, count: number): ReadonlyMap<string, T> {
  const step = Math.max(1, Math.round(all.size / count));
  return new Map([...all].filter((_, index) => index % step === 0));
}

interface Published {
  readonly shared: number;
  readonly own: number;
}

async function row(what: string, aim: string, work: () => Promise<unknown>): Promise<Published> {
  const [before, cpuBefore] = [await bytesToOsd(), cpuSeconds()];
  const started = performance.now();
  const result = (await work()) as Partial<Published> | undefined;
  const seconds = (performance.now() - started) / 1000;
  const cpu = cpuSeconds() - cpuBefore;
  const moved = (await bytesToOsd()) - before;
  const { shared = 0, own = 0 } = result ?? {};
  rows.push([what, seconds.toFixed(2), cpu.toFixed(1), formatBytes(moved), formatBytes(shared), formatBytes(own), aim]);
  return { shared, own };
}

/** Builds all, and publishes them as a deployment does: in batches, while the next ones are built. */
function publishAll(some: Systems, version: number): Promise<Published> {
  async function* publications(): AsyncGenerator<Publication> {
    for await (const { key, image } of buildImages(session, wanted(some))) yield publication(key, image, version);
  }
  return published(publishInBatches(pool, publications(), { files: store, identify, signal: session.signal }));
}

function publish(into: Pool, machine: string, image: DiskImage, version: number): Promise<Published> {
  const sources = { files: store, identify, signal: session.signal };
  return published(into.publish([publication(machine, image, version)], sources));
}

async function published(work: Promise<PublishReport>): Promise<Published> {
  const { sharedBytes, ownBytes } = await work;
  return { shared: sharedBytes, own: ownBytes };
}

function publication(machine: string, image: DiskImage, version: number): Publication {
  const stamp = `20250101000${version}`;
  const about: ImageAbout = {
    ...{ formatVersion: 1, centre: "synthetic", machine, role: "published", stamp },
    system: {
      systemHash: image.imageHash,
      imageHash: image.imageHash,
      lockHash: image.imageHash,
      builder: "bench",
      publishedAt: 1,
    },
  };
  return { name: `VMroot_${machine.replaceAll("/", "-")}_${stamp}`, recipe: image.recipe, about };
}

/** One machine alone, its first image and that after the update: what moves, by the OSD's own count. */
async function oneMachine(update: typeof library): Promise<string> {
  const [machine] = systems.keys();
  const single = poolNamed("single");
  const changedSystems = withUpdatedPackage(session, systems, update);
  const [before, after] = [await imageOf(systems, machine!), await imageOf(changedSystems, machine!)];
  await publish(single, machine!, before, 1);
  const start = await bytesToOsd();
  const { shared, own } = await publish(single, `${machine}-${update.name}`, after, 2);
  const moved = (await bytesToOsd()) - start;
  const changed = changedBlocks(before.recipe, after.recipe, identify).blocks * 4096;
  const literal = after.recipe.extents.reduce((sum, one) => sum + (one.source.kind === "bytes" ? one.length : 0), 0);
  return [
    `${machine} alone, after an update of ${update.name}: ${formatBytes(moved)} went to the OSD`,
    `(shared ${formatBytes(shared)}, own ${formatBytes(own)});`,
    `${formatBytes(changed)} of blocks changed, ${formatBytes(literal)} are the machine's own,`,
    `the whole image has ${formatBytes(after.dataBytes)}: ${(after.dataBytes / moved).toFixed(1)} times as much`,
  ].join(" ");
}

async function imageOf(some: Systems, machine: string): Promise<DiskImage> {
  for await (const { image } of buildImages(session, wanted(new Map([[machine, some.get(machine)!]])))) return image;
  throw new Error(`${machine} was not built`);
}

/** As many bytes as the base holds, of the same segments, imported as one file without holes. */
async function importUnion(bytes: number): Promise<void> {
  const file = join(store.directory, "union");
  const output = openSync(file, "w");
  let written = 0;
  for (const id of segments.keys()) {
    if (written >= bytes) break;
    written += writeSync(output, readFileSync(store.segmentDataPath(id)));
  }
  closeSync(output);
  const started = performance.now();
  await cluster.run("rbd", ["import", "--no-progress", file, "import/union"]);
  const seconds = (performance.now() - started) / 1000;
  console.log(`rbd import of ${formatBytes(written)}: ${seconds.toFixed(2)} s\n`);
  rmSync(file);
}

/** Of this process and all below it, the cluster's daemons included, whether they still run or have ended. */
function cpuSeconds(): number {
  const parents = new Map<number, { parent: number; ticks: number }>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat
        .slice(stat.lastIndexOf(")") + 2)
        .split(" ")
        .map(Number);
      // Fields 14 to 17 of proc(5): its own time, and that of the children it has waited for.
      parents.set(Number(pid), {
        parent: fields[1]!,
        ticks: fields.slice(11, 15).reduce((sum, each) => sum + each, 0),
      });
    } catch {
      // It has just ended.
    }
  }
  const isOurs = (pid: number): boolean =>
    pid === process.pid || (parents.has(pid) && isOurs(parents.get(pid)!.parent));
  return [...parents].reduce((sum, [pid, { ticks }]) => sum + (isOurs(pid) ? ticks : 0), 0) / 100;
}

/** Data of client operations that write, by the OSD's counter. */
async function bytesToOsd(): Promise<number> {
  const counters = JSON.parse(await cluster.run("ceph", ["tell", "osd.0", "perf", "dump"])) as {
    osd: { op_in_bytes: number };
  };
  return counters.osd.op_in_bytes;
}

function poolNamed(name: string): Pool {
  return openCephPool({ pool: name, machinePool: name, user: "admin", configuration: cluster.configuration });
}

function wanted(some: Systems) {
  return new Map([...some].map(([key, prepared]) => [key, { prepared }]));
}

function identify(segment: string): string {
  const known = identities.get(segment) ?? store.readSegmentTable(segment).dataSha256;
  identities.set(segment, known);
  return known;
}

function forgetImages(): void {
  rmSync(join(store.directory, "cache", "recipes"), { recursive: true, force: true });
}
