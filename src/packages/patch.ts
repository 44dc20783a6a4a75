import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failure } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { attachFacts } from "../language/record.ts";

/** A change of a package's source, as `diff -u` writes it, with paths that start with `a/` and `b/`. */
export interface Patch {
  readonly name: string;
  readonly text: string;
}

export function patch(name: string, text: string): Patch {
  return asPatch({ name, text }, patch);
}

/**
 * The patch in a file beside the program: `patchFile("fix.patch", import.meta.url)`.
 *
 * @throws MesoError `no-such-file`.
 */
export function patchFile(path: string, base: string): Patch {
  const file = resolve(fileURLToPath(new URL(".", base)), path);
  try {
    return asPatch({ name: basename(file), text: readFileSync(file, "utf8") }, patchFile);
  } catch (error) {
    const where = callerLocation(patchFile);
    throw failure("no-such-file", `the patch ${file} cannot be read`, { ...(where && { where }) }, error);
  }
}

function asPatch(value: Patch, caller: (...args: never[]) => unknown): Patch {
  const where = callerLocation(caller);
  return attachFacts(value, { kind: "patch", given: value, fields: {}, ...(where && { where }) });
}
