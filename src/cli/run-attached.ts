import { spawn } from "node:child_process";
import { failure } from "../base/error.ts";

/** Runs a program on this terminal until it ends, with `variables` beside this process's own. Gives its exit code. */
export function runAttached(
  [program, ...words]: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program!, words, { stdio: "inherit", env: { ...process.env, ...variables } });
    child.once("error", (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === "ENOENT";
      reject(isMissing ? failure("no-program", `${program} is not installed here`) : error);
    });
    child.once("close", (code, signal) => resolve(signal ? 128 : (code ?? 1)));
  });
}
