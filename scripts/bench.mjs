// npm run bench: measures this project and its peers in the same run and prints the ratios. `npm run bench -- centre`
// measures a whole centre of machines, `-- ceph` what it takes to publish it to Ceph, `-- one-machine` the way from an
// edited line to a verified new root, `-- glicid` the centre of the examples, `-- store` archives, builds and the registry of the store.
import { join } from "node:path";
import { benchPackages, projectRoot, runAndExit, runtimePackages, setUp, testPackages } from "./setup.mjs";

const node = setUp({ ...runtimePackages, ...testPackages, ...benchPackages });
const [first, ...rest] = process.argv.slice(2);
const scripts = {
  centre: "centre.ts",
  glicid: "glicid.ts",
  ceph: "centre-ceph.ts",
  "one-machine": "one-machine.ts",
  store: "store.ts",
};
const [script, options] = scripts[first] ? [scripts[first], rest] : ["main.ts", process.argv.slice(2)];
runAndExit(node, [join(projectRoot, "bench", script), ...options]);
