// npm run bench -- centre: what a whole computing centre of 94 machines costs. Nothing here is asserted: the numbers are
// for docs/performance.md.
import { rmSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { formatBytes } from "../src/base/progress.ts";
import { buildImages, prepareSystems } from "../src/build/build-systems.ts";
import { fetchSegments } from "../src/build/fetch-archives.ts";
import { allPackages, type ResolvedSystem } from "../src/build/prepare.ts";
import { freshSession } from "../src/test-support/test-session.ts";
import { measure, median, table } from "./measure.ts";
import { syntheticCentre } from "./synthetic-centre.ts";
import { withUpdatedPackage } from "./update-package.ts";

const session = freshSession();
process.on("exit", session.remove);
const systems = await prepareSystems(session, syntheticCentre());
const archives = new Map([...systems.values()].flatMap(allPackages).map((one) => [one.sha256, one]));
const segments = await fetchSegments(session, [...archives.values()]);
const contents = [...segments.values()].reduce((sum, { dataBytes }) => sum + dataBytes, 0);
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, Node ${process.version}`);
console.log(`${systems.size} machines, ${archives.size} archives, ${formatBytes(contents)} of contents\n`);

const rows: string[][] = [];
const prepare = median(3, () => measure([process.execPath, join(import.meta.dirname, "prepare-centre.ts")]));
addRow("evaluated and prepared, nothing to do", prepare.wallSeconds, "< 2 s, planned too");

// What depends on the whole set of packages is kept, as it would be where the centre was built before.
await build(systems);
addRow("all images, segments imported", await build(systems), "< 30 s, published too");
const updated = withUpdatedPackage(session, systems, {
  name: "libssl3t64",
  file: "usr/share/doc/libssl3t64/copyright",
});
addRow("all images after an update of libssl3t64", await build(updated), "< 20 s, published too");
addRow("all images, nothing changed", await buildKept(updated), "");
console.log(table(["what", "wall s", "each", "aim"], rows));
console.log(`\nlargest resident set of this process: ${formatBytes(process.resourceUsage().maxRSS * 1024)}`);

function addRow(what: string, seconds: number, aim: string): void {
  rows.push([what, seconds.toFixed(2), `${Math.round((seconds / systems.size) * 1000)} ms`, aim]);
}

/** Seconds for all images, none of which has been laid out before. */
async function build(wanted: ReadonlyMap<string, ResolvedSystem>): Promise<number> {
  rmSync(join(session.store.directory, "cache", "recipes"), { recursive: true, force: true });
  return buildKept(wanted);
}

/** Seconds for all images, taken from the store where they are kept. */
async function buildKept(wanted: ReadonlyMap<string, ResolvedSystem>): Promise<number> {
  const started = performance.now();
  const images = buildImages(session, new Map([...wanted].map(([key, prepared]) => [key, { prepared }])));
  for await (const { image } of images) void image;
  return (performance.now() - started) / 1000;
}
