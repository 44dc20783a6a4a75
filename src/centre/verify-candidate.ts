import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { assert } from "../base/error.ts";
import { cleanupAtExit } from "../hypervisors/cleanup-at-exit.ts";
import type { Credentials, MachineSpec } from "../hypervisors/hypervisor.ts";
import { keepEvidence } from "../hypervisors/keep-evidence.ts";
import { rbdSource } from "../hypervisors/qemu-host-start.ts";
import { type CheckReport, type CheckResult, runChecks } from "../hypervisors/run-checks.ts";
import { bootFailure, lastLines } from "../hypervisors/serial-console.ts";
import { type Machine, type MachineDisk, startMachine } from "../hypervisors/start-machine.ts";
import type { Verdict } from "../pools/about.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { ManifestCheck } from "../system/manifest.ts";

/** A machine as it would run with the candidate as its root. */
export interface CandidateTrial {
  readonly spec: Pick<MachineSpec, "architecture" | "cores" | "memoryMebibytes" | "firmware"> & {
    readonly id: { readonly name: string };
    readonly nics: readonly { readonly mac: string }[];
  };
  readonly root: { readonly slot: string; readonly disk: DiskLocation };
  /** Nobody may write to them meanwhile: copies, or clones of a snapshot. */
  readonly volumes: readonly { readonly slot: string; readonly serial: string; readonly disk: DiskLocation }[];
  readonly checks: readonly ManifestCheck[];
  readonly credentials?: Credentials;
  /** Until everything must work; stretched on emulated machines. */
  readonly bootSeconds: number;
}

export interface TrialOptions {
  /** Where it is remembered whether KVM works. */
  readonly cacheDirectory: string;
  /** `user@host`, for the verdict. */
  readonly by: string;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** A failed trial leaves console, journal and screenshot here, in a folder of the machine's name. */
  readonly logFolder?: string;
  readonly signal?: AbortSignal;
}

export interface TrialOutcome {
  readonly verdict: Verdict;
  readonly results: readonly CheckResult[];
  /** What the machine said on its serial line. */
  readonly console: string;
  /** Where the logs are, when it failed and `logFolder` was given. */
  readonly logs?: string;
  /** From the start of QEMU until the outcome was known. */
  readonly seconds: number;
}

/**
 * Boots a candidate in QEMU and runs its checks. Root and volumes are only read: all writes go to layers that are thrown
 * away. The machine has its network cards, and nothing behind them: it never talks to its real peers. A failed check is a
 * verdict; an error is what kept the trial from taking place.
 *
 * @throws MesoError `no-disk`, `qemu-missing`, `firmware-missing`, `qemu-failed` with QEMU's words.
 */
export async function tryCandidate(trial: CandidateTrial, options: TrialOptions): Promise<TrialOutcome> {
  const { signal } = options;
  signal?.throwIfAborted();
  const folder = mkdtempSync(join(tmpdir(), "meso-trial-"));
  const clean = () => rmSync(folder, { recursive: true, force: true });
  const release = cleanupAtExit(clean);
  const started = performance.now();
  let machine: Machine | undefined;
  const stop = () => void machine?.stop({ gracefulSeconds: 0 });
  try {
    machine = await startMachine(machineOf(trial, folder, options.cacheDirectory));
    signal?.addEventListener("abort", stop, { once: true });
    const report = await lookAt(machine, trial, signal);
    signal?.throwIfAborted();
    const logs = report.passed ? undefined : await keepLogs(machine, trial, report, options.logFolder);
    return {
      verdict: {
        ...{ passed: report.passed, at: options.now(), by: options.by },
        ...{ failed: report.failed, checks: report.results.length },
      },
      results: report.results,
      console: machine.console.text(),
      ...(logs !== undefined && { logs }),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    signal?.removeEventListener("abort", stop);
    await machine?.stop({ gracefulSeconds: 0 });
    clean();
    release();
  }
}

function machineOf({ spec, root, volumes, credentials }: CandidateTrial, folder: string, cacheDirectory: string) {
  const disks = [root, ...volumes].map(({ slot, disk, ...more }): MachineDisk => {
    const source =
      disk.kind === "file"
        ? { kind: disk.format, path: disk.path }
        : rbdSource(disk, join(folder, `ceph-${slot}.conf`));
    assert(source.kind !== "nbd", "a pool's disk is a file or an RBD image");
    return { ...source, slot, ...more };
  });
  return {
    name: `${spec.id.name}-trial`,
    ...{ architecture: spec.architecture, firmware: spec.firmware, disks, cacheDirectory },
    ...(credentials && { credentials }),
    // A trial must not need the hypervisor's size; what checks need is there.
    cores: Math.min(spec.cores, availableParallelism()),
    memoryMebibytes: Math.min(spec.memoryMebibytes, Math.floor(totalmem() / 2 ** 21)),
    nics: spec.nics.map(({ mac }) => ({ mac, network: { kind: "user" as const, isRestricted: true } })),
  };
}

async function lookAt(machine: Machine, trial: CandidateTrial, signal?: AbortSignal): Promise<CheckReport> {
  const { checks, bootSeconds } = trial;
  const over = new AbortController();
  const anySignal = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const started = performance.now();
  const looking = runChecks(machine.agent, checks, {
    ...{ deadlineSeconds: bootSeconds, timeScale: machine.timeScale, signal: anySignal },
  });
  const given: Promise<CheckReport | undefined> = looking.catch((error: unknown) => {
    if (over.signal.aborted) return undefined;
    signal?.throwIfAborted();
    throw error;
  });
  const ended = machine.exited.then(({ exitCode, stderr }) => {
    const said = stderr.trim() ? `; QEMU said: ${stderr.trim().slice(-300)}` : "";
    return `the machine ended by itself (code ${exitCode})${said}`;
  });
  const gaveUp = machine.console.waitFor(bootFailure, bootSeconds).then(
    ([said]) => `it did not start: ${said.trim()}`,
    // Nothing of that kind was said: the others tell the outcome.
    () => new Promise<never>(() => {}),
  );
  const outcome = await Promise.race([given, ended, gaveUp]);
  over.abort();
  if (typeof outcome !== "string") {
    assert(outcome, "checks are only given up when something else has told the outcome");
    return outcome.passed ? outcome : withConsole(outcome, machine);
  }
  const seconds = (performance.now() - started) / 1000;
  const start = { name: "the machine starts", service: "system", passed: false, reason: outcome };
  const unseen = checks.map(({ name, service }) => ({
    name,
    service,
    passed: false,
    reason: "could not be looked at",
  }));
  return { passed: false, results: [start, ...unseen], failed: [`system: the machine starts: ${outcome}`], seconds };
}

/** A machine whose agent never answered shows its last words instead. */
function withConsole(report: CheckReport, { console }: Machine): CheckReport {
  const unseen = report.results.filter(({ reason }) => reason === "could not be looked at").length;
  if (report.results[0]?.passed || unseen < report.results.length - 1) return report;
  const last = lastLines(console.text(), 2)
    .map((line) => line.replace(/\s+/g, " ").trim())
    .join(" | ")
    .slice(-300);
  return { ...report, failed: [`${report.failed[0]}; the console's end: ${last || "nothing"}`] };
}

async function keepLogs(
  machine: Machine,
  { spec }: CandidateTrial,
  report: CheckReport,
  logFolder: string | undefined,
): Promise<string | undefined> {
  if (logFolder === undefined) return undefined;
  const folder = join(logFolder, spec.id.name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "failed.txt"), report.failed.map((line) => `${line}\n`).join(""));
  await keepEvidence(folder, "machine", machine.console.text(), machine);
  return folder;
}
