import { spawn } from "node:child_process";
import { failure } from "../../base/error.ts";
import { CephRefusal, errnos, unreachable } from "./ceph-failure.ts";
import type { CephSettings } from "./settings.ts";

export interface CephRun {
  /** Seconds until the program is killed; 60 unless said. */
  readonly patience?: number;
  /** Written to its standard input, as fast as it reads. */
  readonly input?: Iterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** Runs one of Ceph's programs to its end and gives its standard output. Arguments are never words for a shell. */
export type RunCeph = (program: "rbd" | "rados", args: readonly string[], run?: CephRun) => Promise<Buffer>;

/** @throws CephRefusal with the errno that the program ended with; MesoError `pool-unreachable`, `ceph-missing`. */
export function cephRunner(settings: CephSettings, title: string): RunCeph {
  const identity = [
    "--id",
    settings.user,
    ...(settings.configuration === undefined ? [] : ["--conf", settings.configuration]),
    ...(settings.keyring === undefined ? [] : ["--keyring", settings.keyring]),
    // A monitor that is gone is waited for five minutes, an OSD for ever, unless they are told.
    ...["--client_mount_timeout", "10", "--rados_mon_op_timeout", "30", "--rados_osd_op_timeout", "60"],
  ];
  return async (program, args, { patience = 60, input, signal } = {}) => {
    signal?.throwIfAborted();
    const child = spawn(program, [...identity, ...args], {
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
      env: cephEnvironment(),
    });
    const output: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout!.on("data", (chunk: Buffer) => output.push(chunk));
    child.stderr!.on("data", (chunk: Buffer) => complaints.push(chunk));
    let isLate = false;
    const kill = (): void => void child.kill("SIGKILL");
    const timer = setTimeout(() => {
      isLate = true;
      kill();
    }, patience * 1000);
    signal?.addEventListener("abort", kill, { once: true });
    try {
      const ended = new Promise<number | null>((resolve, reject) => {
        child.once("error", (error) => reject(notStarted(program, error)));
        child.once("close", resolve);
      });
      const fed = input ? feed(child.stdin!, input, ended) : Promise.resolve();
      const [status] = await Promise.all([ended, fed]);
      signal?.throwIfAborted();
      if (isLate) throw unreachable(title, `${program} ${args[0]} did not end within ${patience} s`);
      if (status === 0) return Buffer.concat(output);
      throw refusal(title, program, args, status, Buffer.concat(complaints).toString());
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", kill);
    }
  };
}

/** `CEPH_ARGS` of a person's shell would speak to another cluster, as another user. */
export function cephEnvironment(): NodeJS.ProcessEnv {
  const { CEPH_ARGS: _, CEPH_KEYRING: __, ...env } = process.env;
  return env;
}

async function feed(stdin: NodeJS.WritableStream, input: Iterable<Uint8Array>, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  // A program that ends early says why by its status, not through the pipe.
  stdin.on("error", () => {
    isOver = true;
  });
  void ended
    .catch(() => {})
    .finally(() => {
      isOver = true;
      stdin.emit("drain");
    });
  for (const piece of input) {
    if (isOver) return;
    if (!stdin.write(piece)) await new Promise<void>((resolve) => stdin.once("drain", resolve));
  }
  stdin.end();
}

function refusal(title: string, program: string, args: readonly string[], status: number | null, text: string): Error {
  const last = text.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
  if (/couldn't connect to the cluster|unable to open config|error connecting/.test(text)) {
    return unreachable(title, `no connection: ${connectionComplaint(text)}`);
  }
  if (/error opening pool|listing images failed: \(2\)/.test(text)) return unreachable(title, "there is no such pool");
  // `rbd` ends with the errno, `rados` with 1 for everything and the errno in its last words.
  const number = program === "rados" ? Number(/\((\d+)\)[^()]*$/.exec(last)?.[1] ?? errnos.invalid) : status;
  return new CephRefusal(number ?? errnos.timedOut, `${program} ${args[0]}: ${last || `ended with ${status}`}`);
}

/** What went wrong, without the client's addresses and times. */
function connectionComplaint(text: string): string {
  if (/unable to find a keyring|no keyring found/.test(text)) return "the user's keyring was not found";
  if (/unable to open config/.test(text)) return "the configuration was not found";
  const known = /\((\d+)\) ([A-Z][A-Za-z ]+)/.exec(text);
  return known?.[2] ?? "the cluster did not answer";
}

function notStarted(program: string, error: Error): Error {
  return failure("ceph-missing", `${program} could not be started: ${error.message}`, {
    hint: "apt-get install ceph-common",
  });
}
