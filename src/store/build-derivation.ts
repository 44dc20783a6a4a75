import { spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { failure, type MesoError } from "../base/error.ts";
import { type Builtins, isBuiltin, runBuiltin } from "./builtin.ts";
import type { Derivation } from "./derivation.ts";
import type { Items } from "./items.ts";
import { removeTree } from "./remove-tree.ts";
import { lastLines, type SandboxBind, sandboxCommand, sandboxTrouble } from "./sandbox.ts";
import type { Store } from "./store.ts";

export interface BuildOptions {
  /** Keeps the folders of a build that failed, with a script that enters its sandbox. */
  readonly keepFailed?: boolean;
  /** Seconds; a day unless given. */
  readonly timeoutSeconds?: number;
  /** A build that writes more than this is ended, before it fills the disk; 256 MiB unless given. */
  readonly maxLogBytes?: number;
  readonly signal?: AbortSignal;
  /** Runs it on one processor, to see whether what it makes depends on their number. */
  readonly oneProcessor?: boolean;
  /** Builders that are part of this program, by the name behind `builtin:`. */
  readonly builtins?: Builtins;
}

/** What a build made, aside: for the caller to register, and to dispose of. */
export interface FinishedBuild {
  /** Where the output of a logical path lies. */
  outputPlace(path: string): string;
  readonly inputs: readonly string[];
  readonly log: string;
  dispose(): void;
}

/**
 * Runs a derivation's builder where it sees nothing but the closure of its inputs at their logical paths: no network,
 * no folder of the host, a fixed user, host name and clock variables. The variable `sandboxRoot` of a derivation names
 * the input whose folders become those of `/`, for programs that know no other place. All inputs must be valid.
 *
 * @throws MesoError `build-failed` with the last lines and where the whole log is, `build-timeout`, `sandbox-missing`,
 *   `sandbox-refused`.
 */
export async function buildDerivation(
  store: Store,
  items: Items,
  path: string,
  derivation: Derivation,
  inputs: readonly string[],
  options: BuildOptions = {},
): Promise<FinishedBuild> {
  const closure = items.closure(inputs);
  if (isBuiltin(derivation)) {
    return runBuiltin(store, items, path, derivation, closure, { ...options, logFolder: logFolder(store) });
  }
  const scratch = store.temporaryPath();
  const [made, work, empty] = ["store", "build", "root"].map((name) => join(scratch, name)) as [string, string, string];
  for (const folder of [made, work, empty]) mkdirSync(folder, { recursive: true });
  const log = join(logFolder(store), `${basename(path)}.log`);
  const asideLog = store.temporaryPath();
  const dispose = () => removeTree(scratch);
  try {
    const root = derivation.environment.get("sandboxRoot");
    const setting = {
      root: root === undefined ? empty : items.physicalPath(root),
      binds: [
        { from: work, to: "/build", writable: true },
        { from: made, to: items.prefix, writable: true },
        ...inputBinds(items, closure, made),
      ],
      env: { ...Object.fromEntries(derivation.environment), NIX_BUILD_TOP: "/build", NIX_STORE: items.prefix },
      workingDirectory: "/build",
    };
    const command = await sandboxCommand({ ...setting, command: [derivation.builder, ...derivation.arguments] });
    const pinned = options.oneProcessor ? ["taskset", "-c", firstProcessor(), ...command] : command;
    const ending = await run(pinned, asideLog, options);
    renameSync(asideLog, log);
    const fault = faultOf(ending, path, log) ?? strayFault(items, made, closure, derivation, path);
    if (fault) {
      if (fault.code !== "build-failed" || !options.keepFailed) throw fault;
      throw await kept(store, scratch, path, fault, (place) =>
        sandboxCommand({
          ...setting,
          root: root === undefined ? join(place, "root") : setting.root,
          binds: setting.binds.map((bind) => ({ ...bind, from: bind.from.replace(scratch, place) })),
          command: [derivation.builder],
        }),
      );
    }
    return { outputPlace: (output) => join(made, basename(output)), inputs: closure, log, dispose };
  } catch (error) {
    dispose();
    removeTree(asideLog);
    throw error;
  }
}

function logFolder(store: Store): string {
  const folder = join(store.directory, "logs");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Links cannot be bound: they are made anew, in the folder that is the store for this build. */
function inputBinds(items: Items, closure: readonly string[], made: string): SandboxBind[] {
  return closure.flatMap((path) => {
    const from = items.physicalPath(path);
    if (!lstatSync(from).isSymbolicLink()) return [{ from, to: path }];
    symlinkSync(readlinkSync(from), join(made, basename(path)));
    return [];
  });
}

type Ending = { readonly code: number | null; readonly endedFor?: "time" | "log" };

const usualMaxLogBytes = 256 << 20;
/** How often the log's length is looked at. Milliseconds. */
const logWatch = 200;

async function run(command: readonly string[], log: string, options: BuildOptions): Promise<Ending> {
  options.signal?.throwIfAborted();
  const file = openSync(log, "wx");
  try {
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", file, file],
      env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
    });
    let endedFor: Ending["endedFor"];
    const kill = () => child.kill("SIGKILL");
    const endFor = (why: Ending["endedFor"]) => {
      endedFor ??= why;
      kill();
    };
    const timer = setTimeout(() => endFor("time"), (options.timeoutSeconds ?? 86_400) * 1000);
    const limit = options.maxLogBytes ?? usualMaxLogBytes;
    const watch = setInterval(() => {
      if (fstatSync(file).size > limit) endFor("log");
    }, logWatch);
    options.signal?.addEventListener("abort", kill, { once: true });
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", resolve);
      });
      options.signal?.throwIfAborted();
      if (fstatSync(file).size > limit) {
        endedFor ??= "log";
        // What was killed may still write for a moment: into the file that is replaced here.
        copyFileSync(log, `${log}.cut`);
        truncateSync(`${log}.cut`, limit);
        renameSync(`${log}.cut`, log);
      }
      return { code, ...(endedFor && { endedFor }) };
    } finally {
      clearTimeout(timer);
      clearInterval(watch);
      options.signal?.removeEventListener("abort", kill);
    }
  } finally {
    closeSync(file);
  }
}

function faultOf({ code, endedFor }: Ending, path: string, log: string): MesoError | undefined {
  if (code === 0 && endedFor === undefined) return undefined;
  const { first, last } = endsOf(log);
  // Only what comes before anything that the build says can be bubblewrap's own words.
  const trouble = endedFor ? undefined : sandboxTrouble(code, first.split("\n")[0]!);
  if (trouble) return trouble;
  const endings = { time: "did not end in time", log: "wrote more into its log than it may" };
  const ending = endedFor ? endings[endedFor] : code === null ? "was killed" : `failed with exit code ${code}`;
  return failure(
    endedFor === "time" ? "build-timeout" : "build-failed",
    `${path} ${ending}:\n${lastLines(last.trim())}`,
    {
      hint: `the whole log: ${log}\nto look around where it failed, build again and keep what failed`,
    },
  );
}

/** Of the two ends of a log that are looked at. Bytes. */
const endBytes = 1 << 16;

/** Logs may be larger than any text can be. */
function endsOf(log: string): { first: string; last: string } {
  const file = openSync(log, "r");
  try {
    const { size } = fstatSync(file);
    const read = (from: number): string => {
      const buffer = Buffer.alloc(Math.min(size, endBytes));
      return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, from));
    };
    return { first: read(0), last: read(Math.max(0, size - endBytes)) };
  } finally {
    closeSync(file);
  }
}

/** Every output is there, and nothing beside them. */
function strayFault(items: Items, made: string, closure: readonly string[], derivation: Derivation, path: string) {
  const outputs = [...derivation.outputs.values()].map((output) => output.path);
  const present = new Set(readdirSync(made).map((name) => `${items.prefix}/${name}`));
  const missing = outputs.find((output) => !present.has(output));
  if (missing !== undefined) return failure("build-failed", `${path} ended well, but did not make ${missing}`);
  const expected = new Set([...outputs, ...closure]);
  const stray = [...present].find((other) => !expected.has(other));
  if (stray === undefined) return undefined;
  return failure("build-failed", `${path} wrote ${stray}`, {
    expected: `nothing but its outputs: ${outputs.join(", ")}`,
  });
}

/** Moves a failed build out of what is swept, beside a script that enters its sandbox with a shell. */
async function kept(
  store: Store,
  scratch: string,
  path: string,
  fault: MesoError,
  commandAt: (place: string) => Promise<readonly string[]>,
): Promise<MesoError> {
  const place = join(store.directory, "failed", basename(path));
  mkdirSync(join(store.directory, "failed"), { recursive: true });
  removeTree(place);
  renameSync(scratch, place);
  const words = (await commandAt(place)).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  writeFileSync(join(place, "enter"), `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  const [problem] = fault.problems;
  const hint = `${problem?.hint?.split("\n")[0] ?? ""}\nto look around where it failed: ${join(place, "enter")}`.trim();
  return failure("build-failed", problem!.what, { ...(problem?.expected && { expected: problem.expected }), hint });
}

function firstProcessor(): string {
  const status = readFileSync("/proc/self/status", "latin1");
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(status)?.[1] ?? "0";
}
