// npm run bench: measures this project and its peers in the same run and prints the ratios. `npm run bench -- centre`
// measures a whole centre of machines.
import { join } from "node:path";
import { benchPackages, projectRoot, runAndExit, runtimePackages, setUp, testPackages } from "./setup.mjs";

const node = setUp({ ...runtimePackages, ...testPackages, ...benchPackages });
const [first, ...rest] = process.argv.slice(2);
const [script, options] = first === "centre" ? ["centre.ts", rest] : ["main.ts", process.argv.slice(2)];
runAndExit(node, [join(projectRoot, "bench", script), ...options]);
