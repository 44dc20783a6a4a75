import { dirname } from "node:path";
import { failure, MesoError } from "../base/error.ts";
import { loadProgram } from "../build/load-program.ts";
import type { Centre } from "../language/centre.ts";
import { recordProblems } from "../language/check.ts";
import { factsOf } from "../language/record.ts";

/** A program that describes a centre, evaluated: nothing was asked of any pool or hypervisor. */
export interface OpenedCentre {
  /** Absolute path of the program. */
  readonly file: string;
  /** Its folder: relative paths in the program start here. */
  readonly folder: string;
  readonly centre: Centre;
}

/**
 * The centre that a program exports as its default. Systems are not lowered yet: their own mistakes are told when
 * they are prepared.
 *
 * @throws MesoError with every mistake of the centre's records, or when the program exports something else.
 */
export async function openCentre(path: string): Promise<OpenedCentre> {
  const { file, value } = await loadProgram(path);
  const kind = factsOf(value)?.kind;
  if (kind !== "centre") {
    const found = value === undefined ? "no default export" : `a default export that is ${kind ?? typeof value}`;
    throw failure("not-a-centre", `${path} has ${found}`, {
      expected: 'export default centre({ name: "…", pool: …, hypervisor: …, machines: { … } })',
      ...(kind === "operatingSystem" && { hint: "this is a single system: meso system image builds it" }),
    });
  }
  const centre = value as Centre;
  // What a template has wrong, each machine that inherits it has wrong: one word about it is enough.
  const problems = new Map(recordProblems(centre).map((problem) => [problemKey(problem), problem]));
  if (problems.size > 0) throw new MesoError([...problems.values()]);
  return { file, folder: dirname(file), centre };
}

function problemKey({ code, what, where, field }: { code: string; what: string; where?: object; field?: string }) {
  return JSON.stringify([code, what, where ?? field]);
}
