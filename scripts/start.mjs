// npm start: sets everything up, builds the smallest machine of the talks and boots it to its login prompt.
import { join, relative } from "node:path";
import { projectRoot, runAndExit, runtimePackages, setUp } from "./setup.mjs";

const node = setUp(runtimePackages);
const extra = process.argv.slice(2);
const image = ["system", "image", join(projectRoot, "examples", "mini-1.ts"), "--boot", "-o", "mini-1.img"];
// Who starts from a checkout has no `meso` in the PATH yet.
const env = { MESO_CALLED_AS: relative(process.env.INIT_CWD ?? process.cwd(), join(projectRoot, "bin", "meso")) };
runAndExit(node, [join(projectRoot, "bin", "meso.mjs"), ...image, ...extra], env);
