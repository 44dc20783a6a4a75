import { spawn } from "node:child_process";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { assert, failure, type MesoError } from "../base/error.ts";
import { giveWay } from "../base/give-way.ts";
import { sortedBy } from "../base/order.ts";

export interface SandboxBind {
  /** A path of the host. */
  readonly from: string;
  /** Where the command sees it; outside the root's own top-level folders, or on a path they hold. */
  readonly to: string;
  readonly writable?: boolean;
}

export interface SandboxOptions {
  /** The folder that becomes `/`, read-only. `/proc`, `/dev` and an empty `/tmp` are added. */
  readonly root: string;
  readonly binds?: readonly SandboxBind[];
  /** Program (a path inside) and arguments. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** The command sees itself as root, with no more rights than else. */
  readonly asRoot?: boolean;
  /** Gives way to everything else that the processors have to do. */
  readonly inBackground?: boolean;
  /** Whoever spawns the command makes it lead a session (`detached`), away from any terminal: so it needs no other. */
  readonly leadsSession?: boolean;
  readonly timeoutSeconds: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs a command with bubblewrap where nothing of the host can show: new namespaces of every kind, no
 * network, no host path but the given ones, a fixed user, host name, zone, locale, umask and environment.
 * The same for root and for an unprivileged user. Gives what it wrote on standard output and error.
 *
 * @throws MesoError `sandbox-missing`, `sandbox-refused`, `build-failed` (with the tail of the output),
 *   `build-timeout`; the signal's reason when aborted.
 */
export async function runInSandbox(options: SandboxOptions): Promise<{ stdout: Buffer; stderr: string }> {
  options.signal?.throwIfAborted();
  const [shell, ...words] = await sandboxCommand({ ...options, leadsSession: true });
  const child = spawn(shell!, words, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
  });
  if (options.inBackground && child.pid !== undefined) giveWay(child.pid);
  const outcome = { timedOut: false };
  const kill = () => child.kill("SIGKILL");
  const timer = setTimeout(() => {
    outcome.timedOut = true;
    kill();
  }, options.timeoutSeconds * 1000);
  options.signal?.addEventListener("abort", kill, { once: true });
  try {
    const stdout = gather(child.stdout, Number.POSITIVE_INFINITY);
    const stderr = gather(child.stderr, errorTailBytes);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    options.signal?.throwIfAborted();
    if (outcome.timedOut) throw timeout(options, stderr().toString());
    if (code !== 0) throw explain(options, code, stdout(), stderr().toString());
    return { stdout: stdout(), stderr: stderr().toString() };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", kill);
  }
}

/** The command line that `runInSandbox` runs, for who feeds and watches the process in a way of its own. */
export async function sandboxCommand(
  options: Omit<SandboxOptions, "timeoutSeconds" | "signal">,
): Promise<readonly string[]> {
  assert(options.command.length > 0, "a sandbox needs a command");
  const bubblewrap = ["bwrap", ...(await isolation(options)), "--", ...options.command];
  // The umask is inherited, and Node can set it only for the whole process: a shell sets it for this child.
  return ["/bin/sh", "-c", 'umask 022 && exec "$@"', "sh", ...bubblewrap];
}

/** Seen by every build: nothing of it comes from the host. */
const fixedEnvironment = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/tmp",
  USER: "build",
  LOGNAME: "build",
  TMPDIR: "/tmp",
  TZ: "UTC",
  LANG: "C.UTF-8",
  LC_ALL: "C.UTF-8",
  SOURCE_DATE_EPOCH: "1",
};

const errorTailBytes = 16_384;

async function isolation(options: Omit<SandboxOptions, "timeoutSeconds" | "signal">): Promise<string[]> {
  const env = { ...fixedEnvironment, ...options.env };
  return [
    ...["--unshare-all", "--die-with-parent", "--clearenv"],
    ...(options.leadsSession ? [] : ["--new-session"]),
    ...["--unshare-user", "--uid", options.asRoot ? "0" : "1000", "--gid", options.asRoot ? "0" : "1000"],
    ...["--hostname", "build"],
    ...(await rootMounts(options.root)),
    ...["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"],
    ...(options.binds ?? []).flatMap((bind) => [bind.writable ? "--bind" : "--ro-bind", bind.from, bind.to]),
    ...["--remount-ro", "/"],
    ...sortedBy(Object.entries(env), ([name]) => name).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--chdir", options.workingDirectory ?? "/tmp"],
  ];
}

/**
 * Each top-level entry is bound for itself upon a fresh tmpfs: bound as a whole, a read-only root would
 * need folders for every mount point, and a smallest root has none.
 */
async function rootMounts(root: string): Promise<string[]> {
  const entries = sortedBy(await readdir(root, { withFileTypes: true }), (entry) => entry.name);
  const own = entries.filter((entry) => !["proc", "dev", "tmp"].includes(entry.name));
  const mounts = await Promise.all(
    own.map(async (entry) => {
      const path = join(root, entry.name);
      return entry.isSymbolicLink()
        ? ["--symlink", await readlink(path), `/${entry.name}`]
        : ["--ro-bind", path, `/${entry.name}`];
    }),
  );
  return mounts.flat();
}

/** Collects a stream, keeping at most its last `limit` bytes (twice that for a moment). */
function gather(stream: NodeJS.ReadableStream, limit: number): () => Buffer {
  let chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 2 * limit) {
      chunks = [Buffer.concat(chunks).subarray(-limit)];
      size = limit;
    }
  });
  return () => {
    const whole = Buffer.concat(chunks);
    return whole.length > limit ? whole.subarray(-limit) : whole;
  };
}

/** What keeps bubblewrap itself from working, by exit code and what it wrote; undefined when it is not to blame. */
export function sandboxTrouble(code: number | null, stderr: string): MesoError | undefined {
  // 127 from the shell itself, before bubblewrap could say anything: it is not there.
  if (code === 127 && /bwrap: (not found|No such file)/.test(stderr) && !stderr.includes("execvp")) {
    return failure("sandbox-missing", "bubblewrap (the program bwrap) is not installed", {
      expected: "bwrap in PATH, to run builds apart from the host",
      hint: "apt-get install bubblewrap",
    });
  }
  if (/^bwrap: .*(namespace|uid map|Operation not permitted|Permission denied|pivot_root)/m.test(stderr)) {
    return failure("sandbox-refused", `bubblewrap may not make a sandbox here: ${stderr.trim()}`, {
      expected: "a kernel that lets this user make user namespaces",
      hint: "as root: sysctl -w kernel.unprivileged_userns_clone=1 (or, on a kernel with that AppArmor rule, kernel.apparmor_restrict_unprivileged_userns=0); in a container, allow nested user namespaces",
    });
  }
  return undefined;
}

function explain(options: SandboxOptions, code: number | null, stdout: Buffer, stderr: string): MesoError {
  const trouble = sandboxTrouble(code, stderr);
  if (trouble) return trouble;
  // Programs disagree on where complaints go; named-checkconf tells the place on one and the reason on the other.
  const outputs = [stdout.subarray(-errorTailBytes).toString().trim(), stderr.trim()];
  const tail = lastLines(outputs.filter((output) => output !== "").join("\n"));
  const ending = code === null ? "was killed" : `failed with exit code ${code}`;
  return failure("build-failed", `${options.command[0]} ${ending} in the sandbox:\n${tail}`);
}

function timeout(options: SandboxOptions, stderr: string): MesoError {
  const tail = lastLines(stderr.trim());
  return failure(
    "build-timeout",
    `${options.command[0]} did not end within ${options.timeoutSeconds} s in the sandbox${tail && `:\n${tail}`}`,
  );
}

/** The end of a program's output, marked as such. */
export function lastLines(text: string): string {
  return text
    .split("\n")
    .slice(-20)
    .map((line) => `  | ${line}`)
    .join("\n");
}
