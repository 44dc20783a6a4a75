#!/usr/bin/env node
// Starts `meso` on a Node that is new enough: the running one, or the one from the npm package
// `node-linux-…`, so that people whose distribution carries an older Node can use it all the same.
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));

if (Number(process.versions.node.split(".")[0]) >= 24) {
  // Plain JavaScript up to here: with the cache on, not even the stripper of types needs to be loaded.
  module.enableCompileCache();
  const { runCommandLine } = await import("../src/cli/run-command-line.ts");
  process.exitCode = await runCommandLine(process.argv.slice(2));
} else {
  const child = spawn(packagedNode(), [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // The terminal signals the whole process group; the child decides how to end, we only wait for it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal ? 128 + 2 : (code ?? 1)));
}

function packagedNode() {
  const local = join(root, "node_modules", `node-linux-${process.arch}`, "bin", "node");
  if (existsSync(local)) return local;
  try {
    return module.createRequire(join(root, "package.json")).resolve(`node-linux-${process.arch}/bin/node`);
  } catch {
    console.error(`meso needs Node 24 or newer; this is ${process.version}. Run \`npm install\` in ${root} first.`);
    process.exit(1);
  }
}
