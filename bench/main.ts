// npm run bench: what this project costs beside mmdebstrap and xz, measured in the same run. With `--quick`, each
// figure is taken once instead of three times. Nothing here is asserted: the numbers are for docs/performance.md.
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "../src/base/progress.ts";
import { fetchSegments } from "../src/build/fetch-archives.ts";
import { openSystem } from "../src/build/open-system.ts";
import { allPackages, prepareSystem } from "../src/build/prepare.ts";
import { testSession } from "../src/test-support/test-session.ts";
import { changeTable } from "./changes.ts";
import { type Cost, measure, median, table } from "./measure.ts";
import { runMmdebstrap, runXz, writeRepository } from "./peers.ts";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const meso = [process.execPath, join(project, "bin", "meso.mjs")];
const rounds = process.argv.includes("--quick") ? 1 : 3;
// Both sides get the best place there is: a file system in memory.
const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "meso-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const session = testSession();
const prepared = await prepareSystem(session, await openSystem(join(project, "examples", "mini-1.ts")));
await fetchSegments(session, allPackages(prepared));

const mebibytes = Math.round(totalmem() / 2 ** 20);
console.log(
  `${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, ${mebibytes} MiB, Node ${process.version}`,
);
console.log(`mini-1: ${prepared.packages.length} packages, ${formatBytes(sum("size"))} of archives\n`);

const store = join(folder, "store");
const program = join(folder, "machine.ts");
const image = join(folder, "machine.img");
const env = { MESO_STORE: store };

await writeRepository(session, prepared, join(folder, "repository"));
writeProgram({});
const xz = median(rounds, () => runXz(session, prepared));
const peer = median(1, () => runMmdebstrap(prepared, join(folder, "repository"), join(folder, "mmdebstrap")));
const bare = median(5, () => measure([process.execPath, "-e", "0"]));
const first = median(rounds, build, () => {
  freshStore();
  rmSync(image, { force: true });
});
let host = 0;
const whole = median(rounds, build, () => {
  rmSync(image, { force: true });
  writeProgram({ hostName: `other-${host++}`, packages: true });
});
writeProgram({});
build();
const option = median(
  rounds * 2 - 1,
  () => build("--in-place"),
  () => writeProgram({ journal: `${100 + host++}M` }),
);
const rewritten = median(rounds, build, () => writeProgram({ journal: `${100 + host++}M` }));
const unchanged = median(rounds * 2 - 1, build);

console.log(
  table(
    ["what", "wall s", "CPU s", "peak", "against", "ratio", "aim"],
    [
      row("xz: all archives decompressed, all processors", xz),
      row("mmdebstrap and mke2fs, the same packages", peer),
      row("first build, nothing imported", first, ["mmdebstrap", peer, "≥ 5"]),
      row("  the same", first, ["xz", xz, "≤ 1.5"], true),
      row("another machine, segments imported", whole, ["mmdebstrap", peer, "≥ 30"]),
      row("one service option changed, in place", option, ["mmdebstrap", peer, "≥ 60"]),
      row("one service option changed, whole file", rewritten, ["mmdebstrap", peer, ""]),
      row("nothing changed", unchanged),
      row("bare start of Node", bare),
    ],
  ),
);
console.log(
  `\nnothing changed, above the bare start of Node: ${(unchanged.wallSeconds - bare.wallSeconds).toFixed(2)} s (aim < 0.3)`,
);
console.log(`100 machines evaluated and lowered: ${evaluateHundred().toFixed(2)} s (aim < 1)\n`);
console.log(await changeTable(session, prepared, folder));

function build(...options: string[]): Cost {
  return measure([...meso, "system", "image", program, "-o", image, ...options], { env });
}

function freshStore(): void {
  rmSync(store, { recursive: true, force: true });
  mkdirSync(join(store, "cache"), { recursive: true });
  // Both sides of the comparison have their archives already, and the index as apt has its lists.
  for (const part of ["archives", "indices", join("cache", "package-indices")]) {
    measure(["cp", "-a", join(session.store.directory, part), join(store, part)]);
  }
  cpSync(session.lockFile, join(folder, "meso.lock"));
}

interface Variation {
  readonly hostName?: string;
  readonly journal?: string;
  /** Leaves a package away and takes another, so that nothing of an earlier image can be reused whole. */
  readonly packages?: boolean;
}

function writeProgram({ hostName = "mini-1", journal, packages }: Variation): void {
  const change = journal ? `modifyServices(os.services, modify(journal, { maximumUse: "${journal}" }))` : "os.services";
  writeFileSync(
    program,
    `import { inherit, modify, modifyServices } from "mesoforge";
import { journal } from "mesoforge/services";
import base from ${JSON.stringify(join(project, "examples", "mini-1.ts"))};
void [modify, modifyServices, journal];
export default inherit(base, (os) => ({
  hostName: "${hostName}",
  services: ${change},
  ${packages ? 'packages: os.packages.filter((one) => typeof one === "string" || one.name !== "nano"),' : ""}
}));
`,
  );
}

function evaluateHundred(): number {
  const script = join(folder, "hundred.ts");
  writeFileSync(
    script,
    `import { inherit, operatingSystem } from "mesoforge";
import { lowerSystem } from ${JSON.stringify(join(project, "src", "system", "lower.ts"))};
import base from ${JSON.stringify(join(project, "examples", "server-1.ts"))};
const started = performance.now();
for (let i = 0; i < 100; i++) lowerSystem(inherit(base, { hostName: \`machine-\${i}\` }));
console.log((performance.now() - started) / 1000);
void operatingSystem;
`,
  );
  const loader = join(project, "bench", "evaluate.ts");
  return measure([process.execPath, loader, script]).wallSeconds;
}

function row(what: string, cost: Cost, peerOf?: readonly [string, Cost, string], isInverse = false): string[] {
  const { wallSeconds, cpuSeconds, peakBytes } = cost;
  const figures = [wallSeconds.toFixed(2), cpuSeconds.toFixed(2), formatBytes(peakBytes)];
  if (!peerOf) return [what, ...figures, "", "", ""];
  const [name, other, aim] = peerOf;
  const ratio = isInverse ? wallSeconds / other.wallSeconds : other.wallSeconds / wallSeconds;
  return [what, ...figures, name, ratio.toFixed(ratio < 10 ? 2 : 0), aim];
}

function sum(key: "size" | "installedSize"): number {
  return prepared.packages.reduce((total, one) => total + one[key], 0);
}
