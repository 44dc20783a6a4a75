import { spawn } from "node:child_process";
import { cleanupAtExit } from "../cleanup-at-exit.ts";
import { isNotRunning, virshFailure } from "./virsh-failure.ts";

/** What a person types to sit at the machine's serial line. */
export function consoleCommand(uri: string, name: string): readonly string[] {
  return ["virsh", "--connect", uri, "console", name];
}

/**
 * What the machine writes on its serial line from now on, until it goes off or the reader stops. `virsh console` wants a
 * terminal, which script (util-linux) lends it.
 *
 * @throws MesoError `machine-locked` while somebody else listens: libvirt lets one at a time, who is not cut off.
 */
export function libvirtConsole(uri: string, name: string): AsyncIterable<Uint8Array> {
  const virsh = ["virsh", "--quiet", "--connect", uri, "console", name];
  const lent = ["--quiet", "--flush", "--return", "--command", `exec ${shellWords(virsh)} 2>&3`, "/dev/null"];
  // Killed outright, we take script with us before it notices that its input has ended: it would type an end of file.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", "script", ...lent], {
    stdio: ["pipe", "pipe", "ignore", "pipe"],
    detached: true,
    env: { ...process.env, LC_ALL: "C", SHELL: "/bin/sh" },
  });
  const [input, output, , errors] = child.stdio;
  let complaint = "";
  (errors as NodeJS.ReadableStream).on("data", (piece: Buffer) => {
    complaint = (complaint + piece.toString("utf8")).slice(-4096);
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
    child.once("error", () => resolve(null));
  });
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    // Closes the terminal, and virsh goes with it.
    child.kill("SIGTERM");
    release();
  };
  const release = cleanupAtExit(stop);
  exited.then(release);
  input!.on("error", () => {});
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of output!) yield piece as Buffer;
      const code = await exited;
      if (code === 0 || isStopped) return;
      const problem = virshFailure(complaint, { uri, changes: false });
      if (!isNotRunning(problem)) throw problem;
    } finally {
      stop();
    }
  }
  const heard = pieces();
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => heard.next(),
      // At once, also while the machine says nothing.
      return: async () => {
        stop();
        return { done: true, value: undefined };
      },
    }),
  };
}

function shellWords(command: readonly string[]): string {
  return command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
