// npm test: sets everything up and runs every test, those that boot machines included.
// `npm test -- --fast` leaves the machines out; `npm test -- PATH…` runs only those files.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { projectRoot, runtimePackages, setUp, testPackages } from "./setup.mjs";

const node = setUp({ ...runtimePackages, ...testPackages });
const args = process.argv.slice(2);
const named = args.filter((arg) => !arg.startsWith("--"));
const files = named.length > 0 ? named.map(inProject) : everyTest();

// Two files at a time: the tests are sized for two cores. A machine takes one of them under emulation; stories of
// several machines come one after the other, as they would starve beside anything else.
const [machines, fast] = partition(files, (file) => /\.(vm|ceph)\.test\.ts$/.test(file));
const [stories, single] = partition(machines, (file) => /withMachines|examples\/small-centre/.test(contentOf(file)));
const passed = [runTests(fast, 2), ...(args.includes("--fast") ? [] : [runTests(single, 2), runTests(stories, 1)])];
process.exit(passed.every(Boolean) ? 0 : 1);

function everyTest() {
  return readdirSync(join(projectRoot, "src"), { recursive: true })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join("src", file))
    .sort();
}

/** A path as it was typed, seen from the project: npm runs scripts in the project's folder, wherever it was called. */
function inProject(path) {
  return relative(projectRoot, resolve(process.env.INIT_CWD ?? process.cwd(), path));
}

function partition(some, belongs) {
  return [some.filter(belongs), some.filter((file) => !belongs(file))];
}

/** Empty for a name that is mistyped, which the test runner will tell. */
function contentOf(file) {
  const path = join(projectRoot, file);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function runTests(some, atOnce) {
  if (some.length === 0) return true;
  const { status } = spawnSync(node, ["--test", `--test-concurrency=${atOnce}`, "--test-reporter=spec", ...some], {
    cwd: projectRoot,
    stdio: "inherit",
    env: {
      MESO_TEST_CACHE: join(projectRoot, ".cache", "test"),
      ...process.env,
      PATH: `${dirname(node)}:${process.env.PATH}`,
    },
  });
  return status === 0;
}
