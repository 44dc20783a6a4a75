// npm run bench: measures this project and its peers in the same run and prints the ratios.
import { join } from "node:path";
import { benchPackages, projectRoot, runAndExit, runtimePackages, setUp, testPackages } from "./setup.mjs";

const node = setUp({ ...runtimePackages, ...testPackages, ...benchPackages });
runAndExit(node, [join(projectRoot, "bench", "main.ts"), ...process.argv.slice(2)]);
