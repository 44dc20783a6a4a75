// npm run bench -- glicid: the centre of examples/glicid, lowered and built, its archives imported already: images a
// minute, and what each image has for itself beside what all share. Nothing here is asserted: the numbers are for
// docs/performance.md.
import { rmSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { formatBytes } from "../src/base/progress.ts";
import { buildImages, prepareSystems } from "../src/build/build-systems.ts";
import { openCentre } from "../src/centre/open-centre.ts";
import { lowerSystem } from "../src/system/lower.ts";
import { projectFolder } from "../src/test-support/meso-process.ts";
import { freshSession } from "../src/test-support/test-session.ts";
import { table } from "./measure.ts";

const session = freshSession();
process.on("exit", session.remove);
const started = performance.now();
const { centre } = await openCentre(join(projectFolder, "examples", "glicid", "centre.ts"));
const systems = new Map(Object.entries(centre.machines).map(([path, { os }]) => [path, os]));
for (const os of systems.values()) lowerSystem(os);
const lowered = seconds(started);
const prepared = await prepareSystems(session, systems);
const wanted = new Map([...prepared].map(([key, one]) => [key, { prepared: one }]));

console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, Node ${process.version}`);
console.log(`${systems.size} machines, evaluated and lowered in ${lowered.toFixed(2)} s (aim < 1)\n`);
const rows = [await build("for the first time: archives are imported, configurations judged")];
rmSync(join(session.store.directory, "cache", "recipes"), { recursive: true, force: true });
rows.push(await build("with segments there"));
console.log(table(["what", "wall s", "images a minute", "own bytes each", "bytes of data each"], rows));

async function build(what: string): Promise<string[]> {
  const begun = performance.now();
  let [own, data] = [0, 0];
  for await (const { image } of buildImages(session, wanted)) {
    own += image.recipe.extents.reduce((sum, { source, length }) => sum + (source.kind === "bytes" ? length : 0), 0);
    data += image.dataBytes;
  }
  const took = seconds(begun);
  const each = (bytes: number) => formatBytes(Math.round(bytes / systems.size));
  return [what, took.toFixed(2), Math.round((systems.size / took) * 60).toString(), each(own), each(data)];
}

function seconds(since: number): number {
  return (performance.now() - since) / 1000;
}
