import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What one run of a command cost, its child processes included. */
export interface Cost {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Largest resident set of any single process, in bytes. */
  readonly peakBytes: number;
}

/**
 * Runs a command to its end under GNU time, which alone sees the processor time of grandchildren.
 * @throws Error with the command's output when it fails: a benchmark of a failure measures nothing.
 */
export function measure(command: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}): Cost {
  const folder = mkdtempSync(join(tmpdir(), "meso-bench-time-"));
  const output = join(folder, "time");
  try {
    const started = performance.now();
    const result = spawnSync("/usr/bin/time", ["--output", output, "--format", "%U %S %M", ...command], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      encoding: "utf8",
      maxBuffer: 64 << 20,
    });
    const wallSeconds = (performance.now() - started) / 1000;
    if (result.status !== 0) {
      throw new Error(`${command.slice(0, 4).join(" ")} failed:\n${`${result.stdout}${result.stderr}`.slice(-4000)}`);
    }
    const [user, system, kibibytes] = readFileSync(output, "utf8").trim().split("\n").at(-1)!.split(" ").map(Number);
    return { wallSeconds, cpuSeconds: user! + system!, peakBytes: kibibytes! * 1024 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The median run by wall time of `count` runs; `prepare` is called before each and not measured. */
export function median(count: number, run: () => Cost, prepare: () => void = () => {}): Cost {
  const costs = Array.from({ length: count }, () => {
    prepare();
    return run();
  });
  costs.sort((a, b) => a.wallSeconds - b.wallSeconds);
  return costs[Math.floor(costs.length / 2)]!;
}

/** A table of plain text, columns aligned, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const render = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [render(head), rule, ...rows.map(render)].join("\n");
}
