import type { Socket } from "node:net";
import { failure } from "../base/error.ts";

/** A machine's serial line as text. */
export interface SerialConsole {
  /** All that was written so far (the last 4 MiB). */
  readonly text: () => string;
  /** Calls back with each further piece of text. Gives a function that ends it. */
  readonly onText: (listener: (text: string) => void) => () => void;
  /**
   * Waits until what was written since the last match matches, and gives the match; seconds are stretched
   * on slow machines. @throws MesoError `console-timeout`, with the last lines seen.
   */
  readonly waitFor: (pattern: RegExp | string, seconds: number) => Promise<RegExpExecArray>;
  readonly type: (text: string) => void;
}

/** What ends a boot for good, in the words of the kernel, our initrd and GRUB: whole lines, which come in pieces. */
export const bootFailure =
  /Kernel panic - not syncing[^\r\n]*[\r\n]|initrd: FAILED[^\r\n]*[\r\n]|error: [^\r\n]*\s+(Entering rescue mode|grub rescue>)/;

/** @param timeScale how many times slower than a real machine this one is. */
export function serialConsole(socket: Socket, timeScale: number): SerialConsole {
  let text = "";
  let consumed = 0;
  let closed = false;
  const listeners = new Set<(text: string) => void>();
  const waiters = new Set<() => void>();
  const decoder = new TextDecoder();
  socket.on("data", (chunk: Buffer) => {
    const piece = decoder.decode(chunk, { stream: true });
    text += piece;
    if (text.length > 2 * maxText) {
      consumed = Math.max(0, consumed - (text.length - maxText));
      text = text.slice(-maxText);
    }
    for (const listener of listeners) listener(piece);
    for (const waiter of waiters) waiter();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
    for (const waiter of waiters) waiter();
  });
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    const found = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(text.slice(consumed));
    if (found) consumed += found.index + found[0].length;
    return found ?? undefined;
  };
  const waitFor = async (wanted: RegExp | string, seconds: number): Promise<RegExpExecArray> => {
    const pattern = typeof wanted === "string" ? new RegExp(wanted.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")) : wanted;
    const deadline = performance.now() + seconds * timeScale * 1000;
    for (;;) {
      const found = match(pattern);
      if (found) return found;
      const left = deadline - performance.now();
      if (left <= 0 || closed) {
        const why = closed ? "the machine ended before" : `within ${Math.round(seconds * timeScale)} s`;
        throw failure(
          "console-timeout",
          `${pattern} did not appear on the console (${why}); last seen:\n${tail(text)}`,
        );
      }
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          waiters.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        waiters.add(done);
      });
    }
  };
  return {
    text: () => text,
    onText: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    waitFor,
    type: (typed) => {
      socket.write(typed);
    },
  };
}

const maxText = 4 << 20;

function tail(text: string): string {
  return lastLines(text, 15)
    .map((line) => `  | ${line}`)
    .join("\n");
}

/** The last lines that say something, without the terminal's control sequences (ECMA-48). */
export function lastLines(text: string, count: number): string[] {
  return (
    text
      .slice(-8192)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are what is taken out
      .replace(/\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f]/g, "")
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-count)
  );
}
