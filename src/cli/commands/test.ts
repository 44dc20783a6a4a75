import { statSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failure } from "../../base/error.ts";
import { type Command, exitCodes } from "../command.ts";
import { runAttached } from "../run-attached.ts";

export const test: Command = {
  positionals: "FILE…",
  minimumPositionals: 1,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: {
    only: { type: "string", placeholder: "PATTERN", description: "only tests whose name matches this expression" },
    "at-once": {
      type: "string",
      placeholder: "N",
      description: "files at a time, each with its machines (default: 1)",
    },
  },
  examples: ["test web.test.ts", 'test tests/*.test.ts --only "gate is gone"'],
  details:
    "Runs stories about machines in QEMU with Node's test runner: docs/testing.md tells how to write one. Ends with 1 when\n" +
    "a test fails. --json prints each test with its outcome and its seconds.",
  async run({ positionals, options, json, signal }) {
    const { only, "at-once": atOnce = "1", store } = options as Readonly<Record<string, string | undefined>>;
    if (!/^[1-9][0-9]{0,2}$/.test(atOnce)) {
      throw failure("wrong-option", `--at-once ${atOnce}`, { expected: "a number of files, from 1 on" });
    }
    for (const file of positionals) mustBeFile(file);
    const code = await runAttached(
      [
        process.execPath,
        ...["--disable-warning=ExperimentalWarning", "--import", testingFile("register.ts"), "--test"],
        `--test-concurrency=${atOnce}`,
        ...(json ? ["--test-reporter", testingFile("json-reporter.ts"), "--test-reporter-destination=stdout"] : []),
        ...(only === undefined ? [] : [`--test-name-pattern=${only}`]),
        ...positionals.map((file) => resolve(file)),
      ],
      store === undefined ? {} : { MESO_STORE: resolve(store) },
    );
    if (signal.aborted) return exitCodes.interrupted;
    return code === 0 ? exitCodes.success : exitCodes.failure;
  },
};

function mustBeFile(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return;
  throw failure("no-such-file", `${file}: no such file`, {
    expected: "a test written with withMachines of mesoforge/testing",
    hint: "docs/testing.md begins with one",
  });
}

function testingFile(name: string): string {
  return fileURLToPath(new URL(`../../testing/${name}`, import.meta.url));
}
