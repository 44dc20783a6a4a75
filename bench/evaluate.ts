// Runs a program that imports `mesoforge` by name, as `meso` does with a person's: for the benchmark of evaluation.
import { loadProgram } from "../src/build/load-program.ts";

await loadProgram(process.argv[2]!);
