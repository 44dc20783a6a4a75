import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskImage } from "../build/disk-image.ts";
import { type OutputFormat, writeOutput } from "../build/output-file.ts";
import { type PreparedSystem, prepareSystem } from "../build/prepare.ts";
import { type Machine, type MachineDisk, startMachine } from "../hypervisors/start-machine.ts";
import { serveNbd } from "../image/output/nbd-server.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { testSession } from "./test-session.ts";

/** A system that runs in QEMU, seen through its guest agent and its ssh. */
export interface BootedSystem {
  readonly machine: Machine;
  readonly prepared: PreparedSystem;
  /** Output of a shell command in the machine; fails the test when it fails. */
  readonly run: (command: string) => Promise<string>;
  /** Exit code and everything said by an ssh client here. */
  readonly ssh: (options: readonly string[], command: string) => Promise<{ exitCode: number; said: string }>;
}

export interface BootOptions {
  readonly firmware: "bios" | "uefi";
  readonly output: OutputFormat | "nbd";
}

/** Builds, boots, waits for the guest agent, lets the test look, and ends the machine whatever happens. */
export async function withBootedSystem(
  os: OperatingSystem,
  options: BootOptions,
  look: (system: BootedSystem) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-booted-"));
  try {
    const session = testSession();
    const prepared = await prepareSystem(session, os);
    const image = await diskImage(session, prepared);
    if (options.output === "nbd") {
      const socketPath = join(folder, "disk");
      const server = await serveNbd(image.recipe, { socketPath, files: session.store });
      try {
        await onDisk(prepared, options, { kind: "nbd", socketPath, size: image.recipe.size }, look);
        assert.equal(server.problem(), undefined);
      } finally {
        await server.close();
      }
    } else {
      const path = join(folder, `disk.${options.output}`);
      await writeOutput(session, image, { path, format: options.output });
      await onDisk(prepared, options, { kind: options.output, path }, look);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same for a disk that somebody else wrote. */
export async function onDisk(
  prepared: PreparedSystem,
  { firmware }: Pick<BootOptions, "firmware">,
  disk: MachineDisk,
  look: (system: BootedSystem) => Promise<void>,
): Promise<void> {
  const { hostName, architecture } = prepared.manifest;
  const machine = await startMachine({
    name: hostName,
    ...{ architecture, firmware, disks: [disk], network: true },
    cacheDirectory: join(testSession().store.directory, "cache"),
  });
  const run = async (command: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await machine.agent.exec(["/bin/sh", "-c", command]);
    assert.equal(exitCode, 0, `${command}: ${stdout}${stderr}`);
    return stdout.trimEnd();
  };
  const ssh: BootedSystem["ssh"] = (options, command) =>
    new Promise((resolve) => {
      const always = ["-p", String(machine.sshPort), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"];
      const known = ["-F", "none", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"];
      execFile(
        "ssh",
        [...always, ...known, ...options, "127.0.0.1", command],
        { timeout: 120_000 },
        (error, stdout, stderr) => resolve({ exitCode: error ? Number(error.code ?? 255) : 0, said: stdout + stderr }),
      );
    });
  try {
    await look({ machine, prepared, run, ssh });
  } catch (error) {
    (error as Error).message += `\nthe console's end:\n${machine.console.text().slice(-2000)}`;
    throw error;
  } finally {
    await machine.stop({ gracefulSeconds: 0 });
  }
}
