import { failure } from "../base/error.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { factsOf } from "../language/record.ts";
import { loadProgram } from "./load-program.ts";

/**
 * The operating system that a program exports as its default.
 * @throws MesoError when it exports none, beside what `loadProgram` throws.
 */
export async function openSystem(file: string): Promise<OperatingSystem> {
  const { value } = await loadProgram(file);
  if (factsOf(value)?.kind === "operatingSystem") return value as OperatingSystem;
  const found =
    value === undefined ? "no default export" : `a default export that is ${factsOf(value)?.kind ?? typeof value}`;
  throw failure("not-a-system", `${file} has ${found}`, {
    expected: "export default operatingSystem({ … }), or inherit(base, { … })",
  });
}
