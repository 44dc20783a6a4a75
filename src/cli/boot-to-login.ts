import { join } from "node:path";
import type { PreparedSystem } from "../build/prepare.ts";
import { type BuildSession, stage } from "../build/session.ts";
import { type MachineDisk, startMachine } from "../hypervisors/start-machine.ts";
import type { CommandContext } from "./command.ts";

/** Seconds to the prompt on a machine with hardware virtualisation that is busy with other things. */
const patience = 60;

/** Boots a disk in QEMU until its login prompt is on the serial console, then stops the machine. */
export async function bootToLogin(
  context: CommandContext,
  session: BuildSession,
  { manifest }: PreparedSystem,
  disk: MachineDisk,
): Promise<{ seconds: number; accelerator: string }> {
  const prompt = `${manifest.hostName} login:`;
  let accelerator = "";
  await stage(
    session,
    "boot",
    async () => {
      const machine = await startMachine({
        name: manifest.hostName,
        architecture: manifest.architecture,
        disks: [disk],
        network: true,
        firmware: manifest.architecture === "amd64" ? "bios" : "uefi",
        cacheDirectory: join(session.store.directory, "cache"),
      });
      accelerator = machine.accelerator;
      const stop = (): void => void machine.stop({ gracefulSeconds: 0 });
      context.signal.addEventListener("abort", stop, { once: true });
      const seconds = performance.now();
      const ticker = setInterval(() => {
        const line = machine.console.text().trimEnd().split("\n").at(-1) ?? "";
        const shown = plainText(line).slice(0, 60);
        session.report({ stage: "boot", text: `${Math.round((performance.now() - seconds) / 1000)} s  ${shown}` });
      }, 500);
      try {
        await machine.console.waitFor(prompt, patience);
      } finally {
        clearInterval(ticker);
        context.signal.removeEventListener("abort", stop);
        await machine.stop({ gracefulSeconds: 0 });
      }
    },
    () => `"${prompt}" on the console (${accelerator})`,
  );
  return { seconds: session.stages.get("boot")!, accelerator };
}

/** Without the escape sequences that systemd and getty colour their lines with. */
function plainText(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is removed
  return line.replace(/\u001b(\[[0-9;?]*[A-Za-z]|[\]c][^\u0007]*)/g, "").replace(/[\u0000-\u001f]/g, "");
}
