import { spawn } from "node:child_process";
import { failure, type MesoError } from "../../base/error.ts";
import { cleanupAtExit } from "../cleanup-at-exit.ts";
import { virshFailure } from "./virsh-failure.ts";

/** Libvirt's own command line, on one connection. Every call is a process of its own, and ends in time. */
export interface Virsh {
  readonly uri: string;
  /** Runs one command and gives what it printed. @throws MesoError of the closed set in `hypervisor.ts`. */
  readonly run: (command: readonly string[], options?: VirshOptions) => Promise<string>;
  /** Runs several commands that only read, in one process: nearer together, and one connection. */
  readonly readAll: (
    commands: readonly (readonly string[])[],
    options?: VirshOptions,
  ) => Promise<readonly VirshReading[]>;
  /** Runs one command that reaches virsh through its standard input, so that no list of processes shows it. */
  readonly whisper: (command: readonly string[], options?: VirshOptions) => Promise<string>;
}

export interface VirshOptions {
  /** Given as `/dev/stdin`. */
  readonly input?: string;
  /** Default: 60. */
  readonly seconds?: number;
  /** Whether it is unknown what has happened when the answer is lost. */
  readonly changes?: boolean;
}

export type VirshReading = { readonly text: string } | { readonly error: MesoError };

const usualSeconds = 60;

export function virsh(uri: string): Virsh {
  const base = ["--quiet", "--connect", uri];
  const run: Virsh["run"] = async (command, options = {}) => {
    const end = await runProcess([...base, ...command], uri, options);
    if (end.code !== 0) throw virshFailure(end.stderr, { uri, changes: options.changes ?? false });
    return end.stdout;
  };
  return {
    uri,
    run,
    readAll: async (commands, options = {}) => {
      if (commands.length === 0) return [];
      // Both streams are cut at what nobody else can have written there.
      const mark = `mark ${crypto.randomUUID()}`;
      const script = commands.map(
        (command) => `${quoted(command)}; echo ${quoted([mark])}; echo --err ${quoted([mark])}`,
      );
      const end = await runProcess([...base, script.join("; ")], uri, options);
      const texts = end.stdout.split(mark);
      const errors = end.stderr.split(`error: ${mark}`);
      if (texts.length !== commands.length + 1 || errors.length !== commands.length + 1) {
        throw virshFailure(end.stderr.replaceAll(mark, ""), { uri, changes: false });
      }
      return commands.map((_, index) => {
        const stderr = errors[index]!.trim();
        return stderr.startsWith("error:")
          ? { error: virshFailure(stderr, { uri, changes: false }) }
          : { text: texts[index]! };
      });
    },
    whisper: async (command, options = {}) => {
      const end = await runProcess(base, uri, { ...options, input: `${quoted(command)}\n` });
      // Reading commands from there, it ends well whatever they said, and repeats each line behind its prompt.
      if (end.code !== 0 || /^error:/m.test(end.stderr)) {
        throw virshFailure(end.stderr, { uri, changes: options.changes ?? false });
      }
      const lines = end.stdout.split("\n");
      return lines.filter((line) => !/^virsh [#>]/.test(line)).join("\n");
    },
  };
}

/** As virsh's own parser reads it: nothing inside single quotes is special. */
function quoted(command: readonly string[]): string {
  return command.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`).join(" ");
}

interface ProcessEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runProcess(args: readonly string[], uri: string, options: VirshOptions): Promise<ProcessEnd> {
  const { input, seconds = usualSeconds, changes = false } = options;
  return new Promise((resolve, reject) => {
    // In a session of its own, ssh has no terminal to ask for a password on: it fails instead of waiting.
    // Node's end of a child's input is a socket, which nobody can open as /dev/stdin: cat makes a pipe of it.
    const words = input === undefined ? ["virsh", ...args] : ["/bin/sh", "-c", 'cat | "$@"', "sh", "virsh", ...args];
    const child = spawn(words[0]!, words.slice(1), {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: environment(),
    });
    const kill = () => {
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // It has ended.
      }
    };
    const release = cleanupAtExit(kill);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      kill();
    }, seconds * 1000);
    const stdout = gather(child.stdout, kill);
    const stderr = gather(child.stderr, kill);
    const settle = () => {
      clearTimeout(timer);
      release();
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      settle();
      reject(error.code === "ENOENT" ? missing() : error);
    });
    child.once("close", (code) => {
      settle();
      if (code === 127) reject(missing());
      else if (late) reject(silence(uri, seconds, changes));
      else resolve({ code, stdout: stdout(), stderr: stderr() });
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input ?? "");
  });
}

/** Stable words, no colours, no history of what was typed; connection and ssh settings stay the person's own. */
function environment(): NodeJS.ProcessEnv {
  const fixed = { LC_ALL: "C", TERM: "dumb", INPUTRC: "/dev/null", VIRSH_HISTSIZE: "0" };
  const { LANGUAGE, LIBVIRT_DEBUG, VIRSH_DEBUG, VIRSH_LOG_FILE, ...others } = process.env;
  return { ...others, ...fixed };
}

/** More than any description or any file that comes in pieces. */
const longestOutput = 64 << 20;

function gather(stream: NodeJS.ReadableStream, kill: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > longestOutput) kill();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** For `check`, which tells everything that is missing at once. */
export function missing(): MesoError {
  return failure("hypervisor-unreachable", "virsh is not installed", {
    expected: "libvirt's command line on the host that runs meso",
    hint: "apt-get install libvirt-clients",
  });
}

function silence(uri: string, seconds: number, changes: boolean): MesoError {
  return changes
    ? failure("unknown-outcome", `libvirt at ${uri} did not say within ${seconds} s what became of a change`)
    : failure("hypervisor-unreachable", `libvirt at ${uri} did not answer within ${seconds} s`, {
        hint: `try: virsh --connect '${uri}' version`,
      });
}
