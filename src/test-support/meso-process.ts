import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** How a command of ours ended. */
export interface MesoRun {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface MesoOptions {
  readonly store: string;
  readonly cwd?: string;
  /** Upon the environment of the test; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Command and arguments that take a command behind them: `["taskset", "--cpu-list", "0"]`. */
  readonly wrapper?: readonly string[];
  /** "pipe" lets the test type: `run.child.stdin`. */
  readonly stdin?: "pipe" | "ignore";
  /** Node and the project's folder, where they are not those of this test. */
  readonly node?: string;
  readonly project?: string;
}

export const projectFolder = fileURLToPath(new URL("../..", import.meta.url));

/** Nothing listens there: a build that asks a mirror for anything fails. */
export const deadMirror = "http://127.0.0.1:9/debian";

/** Runs the real command line in a process of its own, without network unless `env` names a mirror. */
export function runMeso(args: readonly string[], options: MesoOptions): Promise<MesoRun> {
  return startMeso(args, options).ended;
}

/** A command of ours that runs, in a process group of its own: `process.kill(-run.child.pid!, …)`. */
export interface RunningMeso {
  readonly child: ChildProcess;
  readonly ended: Promise<MesoRun>;
  /** Resolves once it has written this on standard error, or has ended. */
  readonly says: (words: string) => Promise<void>;
}

export function startMeso(args: readonly string[], options: MesoOptions): RunningMeso {
  const { store, cwd, env, wrapper = [], stdin = "ignore", node = process.execPath, project = projectFolder } = options;
  const words = [...wrapper, node, join(project, "bin/meso.mjs"), ...args];
  const child = spawn(words[0]!, words.slice(1), {
    detached: true,
    stdio: [stdin, "pipe", "pipe"],
    env: {
      ...process.env,
      MESO_STORE: store,
      MESO_DEBIAN_MIRROR: deadMirror,
      MESO_DEBIAN_SECURITY_MIRROR: deadMirror,
      NODE_TEST_CONTEXT: undefined,
      ...env,
    },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  let isOver = false;
  const ended = new Promise<MesoRun>((resolve, reject) => {
    child.once("error", reject).once("close", (code, signal) => {
      isOver = true;
      resolve({ code, signal, ...output });
    });
  });
  const says = async (text: string): Promise<void> => {
    while (!isOver && !output.stderr.includes(text)) await sleep(10);
  };
  return { child, ended, says };
}

/** What `meso system image --json` prints. */
export interface ImageResult {
  readonly systemHash: string;
  readonly imageHash: string;
  readonly written: number;
  readonly stages: Readonly<Record<string, number>>;
}

/** Builds an image that must succeed. */
export async function buildImage(program: string, output: string, options: MesoOptions): Promise<ImageResult> {
  const format = output.endsWith(".qcow2") ? "qcow2" : "raw";
  return imageResult(await runMeso(["system", "image", "--json", "--format", format, "-o", output, program], options));
}

export function imageResult(run: MesoRun): ImageResult {
  assert.equal(run.code, 0, `meso ended with ${run.code ?? run.signal}:\n${run.stdout}${run.stderr}`);
  return JSON.parse(run.stdout) as ImageResult;
}
