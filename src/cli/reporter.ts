import type { WriteStream } from "node:tty";
import { formatSeconds, type ProgressEvent, type Report } from "../base/progress.ts";

export interface Reporter {
  readonly report: Report;
  /** Takes away the line of a stage that did not end, so that what is printed next starts a line of its own. */
  readonly clear: () => void;
}

/**
 * Shows progress on standard error: one line that renews itself per stage on a terminal, one line per finished
 * stage elsewhere, so that logs stay readable.
 */
export function createReporter(stream: NodeJS.WriteStream, options: { verbose: boolean }): Reporter {
  return stream.isTTY ? terminalReporter(stream as WriteStream) : lineReporter(stream, options.verbose);
}

/** Milliseconds between two renewals of the line: faster than reading, slower than flooding a slow terminal. */
const renewalInterval = 80;

function terminalReporter(stream: WriteStream): Reporter {
  let lastShown = 0;
  let isOpen = false;
  const report: Report = (event) => {
    const over = event.seconds !== undefined;
    const now = performance.now();
    if (!over && now - lastShown < renewalInterval) return;
    lastShown = over ? 0 : now;
    const bar = event.share === undefined || over ? "" : ` ${renderBar(event.share)}`;
    const text = `${render(event)}${bar}`.slice(0, Math.max(20, stream.columns - 1));
    stream.write(`\r\x1b[K${text}${over ? "\n" : ""}`);
    isOpen = !over;
  };
  return { report, clear: () => void (isOpen && stream.write("\r\x1b[K")) };
}

function lineReporter(stream: NodeJS.WritableStream, verbose: boolean): Reporter {
  const report: Report = (event) => {
    if (event.seconds !== undefined || (verbose && event.share === undefined)) stream.write(`${render(event)}\n`);
  };
  return { report, clear: () => {} };
}

function render(event: ProgressEvent): string {
  const took = event.seconds ? ` in ${formatSeconds(event.seconds)}` : "";
  return `${event.stage.padEnd(9)} ${event.text}${took}`;
}

function renderBar(share: number): string {
  const width = 20;
  const done = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(done)}${" ".repeat(width - done)}]`;
}
