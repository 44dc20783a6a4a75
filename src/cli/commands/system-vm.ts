import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { env } from "node:process";
import { failure } from "../../base/error.ts";
import { parseSize } from "../../base/size.ts";
import { diskImage } from "../../build/disk-image.ts";
import { openSystem } from "../../build/open-system.ts";
import { prepareSystem } from "../../build/prepare.ts";
import { systemSecrets } from "../../centre/machine-secrets.ts";
import { type Machine, startMachine } from "../../hypervisors/start-machine.ts";
import { serveNbd } from "../../image/output/nbd-server.ts";
import type { SystemManifest } from "../../system/manifest.ts";
import { type Command, type CommandContext, exitCodes, programOptions } from "../command.ts";
import { printDryRun } from "../dry-run.ts";
import { programSession } from "../program-session.ts";

export const systemVm: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    uefi: { type: "boolean", description: "start by UEFI instead of BIOS" },
    memory: { type: "string", placeholder: "SIZE", description: "memory of the machine (default: 1GiB)" },
    cores: { type: "string", placeholder: "N", description: "processors of the machine (default: 2, 1 without KVM)" },
    ...programOptions,
  },
  examples: ["system vm examples/mini-1.ts", "system vm --uefi --memory 4GiB examples/mini-1.ts"],
  details:
    "The disk is served to QEMU straight from the store; what the machine writes is discarded when it stops.\n" +
    "The terminal is the machine's serial console. Ctrl-] stops the machine.",
  async run(context) {
    const [file] = context.positionals as [string];
    const size = machineSize(context);
    const session = programSession(context, file);
    const prepared = await prepareSystem(session, await openSystem(file));
    if (context.options["dry-run"]) return void printDryRun(context, session, prepared);
    const credentials = systemSecrets(prepared.manifest, { env, folder: dirname(resolve(file)) });
    const { recipe } = await diskImage(session, prepared);
    const { hostName, architecture } = prepared.manifest;
    const folder = mkdtempSync(join(tmpdir(), "meso-vm-disk-"));
    const server = await serveNbd(recipe, { socketPath: join(folder, "disk"), files: session.store });
    try {
      const machine = await startMachine({
        name: hostName,
        architecture,
        disks: [{ kind: "nbd", socketPath: server.socketPath, size: recipe.size }],
        network: true,
        credentials,
        firmware: context.options.uefi || architecture !== "amd64" ? "uefi" : "bios",
        cacheDirectory: join(session.store.directory, "cache"),
        ...size,
      });
      const acceleration = machine.accelerator === "kvm" ? "with KVM" : "emulated, since KVM does not work here";
      session.report({ stage: "boot", text: `${hostName}, ${acceleration}; Ctrl-] stops it`, seconds: 0 });
      return await attachConsole(machine, context.signal, {
        prompt: `${hostName} login: `,
        remark: [...sshCommand(machine, prepared.manifest), "Ctrl-] stops the machine"].join("; "),
      });
    } finally {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function sshCommand({ sshPort }: Machine, { enabledUnits, users }: SystemManifest): string[] {
  if (sshPort === undefined || !enabledUnits.includes("ssh.service")) return [];
  return [`ssh -p ${sshPort} ${users.find(({ system }) => !system)?.name ?? "root"}@127.0.0.1`];
}

/** Group separator: what telnet and virsh use to leave a console. */
const leaveKey = 0x1d;

/** Ties terminal and console together until the machine ends or the person leaves. */
async function attachConsole(
  machine: Machine,
  signal: AbortSignal,
  { prompt, remark }: { prompt: string; remark: string },
): Promise<number> {
  const { stdin, stdout } = process;
  stdout.write(machine.console.text());
  let isTold = !stdout.isTTY;
  const detach = machine.console.onText((text) => {
    stdout.write(text);
    if (isTold || !machine.console.text().includes(prompt)) return;
    isTold = true;
    // Firmware and boot loader have cleared the screen: what was said before the start is gone.
    const isWaiting = text.endsWith(prompt);
    stdout.write(isWaiting ? `\r\x1b[K(${remark})\r\n\r\n${prompt}` : `\r\n(${remark})\r\n`);
  });
  const leave = (): void => void machine.stop({ gracefulSeconds: 0 });
  const onInput = (data: Buffer): void => {
    if (data.includes(leaveKey)) leave();
    else machine.console.type(data.toString("utf8"));
  };
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on("data", onInput);
  stdin.resume();
  try {
    const { exitCode, stderr } = await machine.exited;
    if (exitCode !== null && exitCode !== 0 && !signal.aborted) {
      throw failure("qemu-failed", `QEMU ended with code ${exitCode}: ${stderr.trim()}`);
    }
    return signal.aborted ? exitCodes.interrupted : exitCodes.success;
  } finally {
    detach();
    stdin.off("data", onInput);
    stdin.pause();
    if (stdin.isTTY) stdin.setRawMode(false);
    // The machine's last line is rarely a whole one.
    if (stdout.isTTY) stdout.write("\n");
    signal.removeEventListener("abort", leave);
  }
}

function machineSize({ options }: CommandContext): { cores?: number; memoryMebibytes?: number } {
  const { cores, memory } = options;
  if (typeof cores === "string" && !/^[1-9]\d{0,2}$/.test(cores)) {
    throw failure("usage", `found --cores ${cores}`, { expected: "a whole number from 1" });
  }
  return {
    ...(typeof cores === "string" ? { cores: Number(cores) } : {}),
    ...(typeof memory === "string" ? { memoryMebibytes: Math.ceil(parseSize(memory) / 2 ** 20) } : {}),
  };
}
