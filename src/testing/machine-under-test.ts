import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, MesoError } from "../base/error.ts";
import type { GuestAgent, GuestCommandResult } from "../hypervisors/guest-agent.ts";
import { takeScreenshot } from "../hypervisors/qemu-screenshot.ts";
import { runChecks } from "../hypervisors/run-checks.ts";
import { bootFailure, type SerialConsole } from "../hypervisors/serial-console.ts";
import type { ManifestCheck } from "../system/manifest.ts";
import type { PoweredMachine } from "./powered-machine.ts";

export interface SshOptions {
  /** Default: `root`. */
  readonly user?: string;
  /** File of the private key. */
  readonly key?: string;
}

/**
 * A machine that a test drives. Seconds are those of real hardware: an emulated machine is given as much longer as it
 * needs, and nobody waits longer than it takes.
 */
export interface MachineUnderTest {
  readonly name: string;
  /** Until systemd has started everything. Throws when something failed. Stories begin after that. */
  readonly waitForBoot: (seconds?: number) => Promise<void>;
  /** Runs a shell command as root; whatever its exit code. */
  readonly run: (command: string, seconds?: number) => Promise<GuestCommandResult>;
  /** The same, and its output without the last line break. Throws unless it ends with 0. */
  readonly succeeds: (command: string, seconds?: number) => Promise<string>;
  /** Throws when it ends with 0; gives what it said on both outputs. */
  readonly fails: (command: string, seconds?: number) => Promise<string>;
  /** Again and again until it ends with 0; gives its output. */
  readonly waitUntilSucceeds: (command: string, seconds?: number) => Promise<string>;
  readonly waitUntilFails: (command: string, seconds?: number) => Promise<void>;
  readonly waitForUnit: (unit: string, seconds?: number) => Promise<void>;
  /** Until somebody in the machine listens on it. */
  readonly waitForPort: (port: number, seconds?: number, protocol?: "tcp" | "udp") => Promise<void>;
  /** Until the console says it, after what was waited for before. */
  readonly waitForConsole: (pattern: RegExp | string, seconds?: number) => Promise<RegExpExecArray>;
  /** Runs the checks that its services declare; throws with those that fail. */
  readonly passesChecks: (seconds?: number) => Promise<void>;
  /** Its first IPv4 address on `eth0`, or another card. */
  readonly address: (card?: string) => Promise<string>;
  readonly type: (text: string) => void;
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly writeFile: (path: string, bytes: string | Uint8Array) => Promise<void>;
  /** Of one unit, or all, since the boot. */
  readonly journal: (unit?: string) => Promise<string>;
  /** A PNG. */
  readonly screenshot: () => Promise<Buffer>;
  /** From this host; the machine must be described with `ssh: true`. Output; throws unless the command ends with 0. */
  readonly ssh: (command: string, options?: SshOptions) => Promise<string>;
  /** In order; returns when it has started again. */
  readonly restart: (seconds?: number) => Promise<void>;
  /** In order; disks stay. */
  readonly powerOff: (seconds?: number) => Promise<void>;
  /** As by a power cut; disks stay as they were in that moment. */
  readonly kill: () => Promise<void>;
  /** After `powerOff` or `kill`, or at first with `starts: "none"`; returns when it has booted. */
  readonly start: (seconds?: number) => Promise<void>;
  /** While it is off: its root as the image has it, as after a deployment; volumes stay. */
  readonly freshRoot: () => void;
  /** Memory and disks as they are now, to come back to. */
  readonly snapshot: () => Promise<MachineSnapshot>;
  /** Pulls all its cables, or puts them back. */
  readonly setCables: (areIn: boolean) => void;
  readonly agent: () => GuestAgent;
  readonly console: () => SerialConsole;
}

export interface MachineSnapshot {
  readonly restore: () => Promise<void>;
}

const usualSeconds = 30;
const bootSeconds = 120;

export function machineUnderTest(
  name: string,
  powered: PoweredMachine,
  system: { readonly checks: readonly ManifestCheck[]; readonly setCables: (areIn: boolean) => void },
): MachineUnderTest {
  const machine = () => powered.running();
  const agent = () => machine().agent;
  const wrong = (what: string) => failure("story-failed", `${name}: ${what}`);
  const run: MachineUnderTest["run"] = async (command, seconds = usualSeconds) =>
    agent().exec(["/bin/sh", "-c", command], { deadline: seconds });
  const succeeds: MachineUnderTest["succeeds"] = async (command, seconds) => {
    const result = await run(command, seconds);
    if (result.exitCode !== 0) throw wrong(`\`${command}\` ended with ${result.exitCode}${said(result)}`);
    return result.stdout.replace(/\n$/, "");
  };
  const repeatedly = async <T>(seconds: number, look: () => Promise<T | undefined>, what: () => string): Promise<T> => {
    const end = performance.now() + seconds * 1000 * machine().timeScale;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() > end) throw wrong(`${what()} (waited ${Math.round(seconds * machine().timeScale)} s)`);
      await sleep(200 * Math.sqrt(machine().timeScale));
    }
  };
  const until = async (command: string, seconds: number, isWanted: (result: GuestCommandResult) => boolean) => {
    let last: GuestCommandResult | undefined;
    return repeatedly(
      seconds,
      async () => {
        last = await run(command, seconds);
        return isWanted(last) ? last : undefined;
      },
      () => `\`${command}\` still ends with ${last?.exitCode}${last ? said(last) : ""}`,
    );
  };
  const passes = async (checks: readonly ManifestCheck[], seconds: number) => {
    const over = new AbortController();
    void machine().exited.then(() => over.abort());
    const report = await runChecks(agent(), checks, { deadlineSeconds: seconds, signal: over.signal }).catch(
      (error) => {
        throw over.signal.aborted ? wrong("it ended while it was looked at") : error;
      },
    );
    if (!report.passed) throw wrong(report.failed.join("\n"));
  };
  const waitForBoot: MachineUnderTest["waitForBoot"] = async (seconds = bootSeconds) => {
    const { console, exited } = machine();
    const gaveUp = console.waitFor(bootFailure, seconds).then(
      ([words]) => words,
      () => new Promise<never>(() => {}),
    );
    const ended = exited.then(({ stderr }) => `it ended by itself ${stderr}`);
    const failed = await Promise.race([passes([], seconds), gaveUp, ended]);
    if (failed !== undefined) throw wrong(`it does not start: ${failed.trim()}`);
  };
  const start: MachineUnderTest["start"] = async (seconds) => {
    await powered.start();
    await waitForBoot(seconds);
  };
  const powerOff: MachineUnderTest["powerOff"] = async (seconds = 60) => {
    await agent().shutdown();
    const { exited, timeScale } = machine();
    const late = sleep(seconds * 1000 * timeScale, "late" as const, { ref: false });
    if ((await Promise.race([exited, late])) === "late") throw wrong("it does not power off");
    await powered.ended();
  };

  return {
    ...{ name, run, succeeds, waitForBoot, start, powerOff, agent },
    fails: async (command, seconds) => {
      const result = await run(command, seconds);
      if (result.exitCode === 0) throw wrong(`\`${command}\` succeeds${said(result)}`);
      return (result.stdout + result.stderr).trimEnd();
    },
    waitUntilSucceeds: async (command, seconds = usualSeconds) => {
      const { stdout } = await until(command, seconds, ({ exitCode }) => exitCode === 0);
      return stdout.replace(/\n$/, "");
    },
    waitUntilFails: async (command, seconds = usualSeconds) => {
      await until(command, seconds, ({ exitCode }) => exitCode !== 0);
    },
    waitForUnit: (unit, seconds = usualSeconds) =>
      passes([{ kind: "unit-active", name: `${unit} is active`, service: "story", unit }], seconds),
    waitForPort: (port, seconds = usualSeconds, protocol = "tcp") =>
      passes(
        [{ kind: "port-answers", name: `${protocol} port ${port} answers`, service: "story", port, protocol }],
        seconds,
      ),
    waitForConsole: async (pattern, seconds = usualSeconds) => machine().console.waitFor(pattern, seconds),
    passesChecks: (seconds = usualSeconds) => passes(system.checks, seconds),
    address: (card = "eth0") =>
      repeatedly(
        usualSeconds,
        async () => {
          const { stdout } = await run(`ip -4 -o address show dev ${card} scope global`);
          return /\binet ([\d.]+)\//.exec(stdout)?.[1];
        },
        () => `${card} has no address`,
      ),
    type: (text) => machine().console.type(text),
    readFile: async (path) => agent().readFile(path),
    writeFile: async (path, bytes) => agent().writeFile(path, Buffer.from(bytes)),
    journal: async (unit) => {
      const of = unit === undefined ? [] : ["--unit", unit];
      return (await agent().exec(["journalctl", "--boot", "--no-pager", "--output=short-precise", ...of])).stdout;
    },
    screenshot: async () => takeScreenshot(machine().monitor),
    ssh: async (command, options) => {
      const { sshPort } = machine();
      if (sshPort === undefined) throw wrong("cannot be reached by ssh: describe it with ssh: true");
      await run(prepareManagementCard(powered.managementMac));
      const { exitCode, said } = await ssh(sshPort, command, options);
      if (exitCode !== 0) throw wrong(`ssh: \`${command}\` ended with ${exitCode}: ${said.trim()}`);
      return said.replace(/\n$/, "");
    },
    restart: async (seconds = bootSeconds) => {
      const boot = () => run("cat /proc/sys/kernel/random/boot_id").then(({ stdout }) => stdout.trim());
      const before = await boot();
      // The agent may be gone before it can tell that the command has ended.
      await unlessCutOff(() => run("systemctl reboot --no-block"), undefined);
      await repeatedly(
        seconds,
        async () => {
          const now = await unlessCutOff(async () => {
            await agent().ping(1);
            return boot();
          }, before);
          return now === before ? undefined : now;
        },
        () => "it does not start again",
      );
      await waitForBoot(seconds);
    },
    kill: () => powered.cut(),
    freshRoot: () => powered.freshRoot(),
    snapshot: () => powered.snapshot(),
    setCables: system.setCables,
    console: () => machine().console,
  };
}

/** What an agent that goes down, or is not up yet, cannot answer. */
async function unlessCutOff<T>(ask: () => Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof MesoError) return otherwise;
    throw error;
  }
}

function said({ stdout, stderr }: GuestCommandResult): string {
  const words = (stdout + stderr).trim();
  return words ? `:\n${words.slice(-2000)}` : "";
}

/** What leads to this host need not be known to the system: the card gets the address that QEMU's network expects. */
function prepareManagementCard(mac: string): string {
  return `
    for card in /sys/class/net/*; do
      [ "$(cat $card/address)" = ${mac} ] || continue
      ip link set "\${card##*/}" up
      ip -4 -o address show dev "\${card##*/}" | grep -q 10.0.2.15/ || ip address add 10.0.2.15/24 dev "\${card##*/}"
    done`;
}

/** Milliseconds. */
const sshPatience = 120_000;

function ssh(
  port: number,
  command: string,
  { user = "root", key }: SshOptions = {},
): Promise<{ exitCode: number; said: string }> {
  const known = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
  const quiet = ["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];
  const to = ["-p", String(port), "-l", user, ...(key === undefined ? [] : ["-i", key])];
  return new Promise((resolve) => {
    execFile(
      "ssh",
      [...known, ...quiet, ...to, "127.0.0.1", command],
      { timeout: sshPatience },
      (error, stdout, stderr) => {
        const exitCode = error ? (typeof error.code === "number" ? error.code : 255) : 0;
        resolve({ exitCode, said: stdout + stderr });
      },
    );
  });
}
