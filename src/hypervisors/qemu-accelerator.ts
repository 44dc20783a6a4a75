import { type SpawnSyncOptions, spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../base/hash.ts";

export type Accelerator = "kvm" | "tcg";

/** How many times slower than hardware a machine is, to stretch deadlines: measured between 5 and 10 for a boot. */
export const slowness: Readonly<Record<Accelerator, number>> = { kvm: 1, tcg: 8 };

/**
 * KVM where it truly works, else TCG. A device that can be opened proves nothing (nested or half-finished
 * KVM opens and then hangs or kills the machine), so a machine of a few bytes is started and must answer.
 * The outcome is remembered in `cacheDirectory` until the next boot of the host.
 */
export function chooseAccelerator(options: {
  readonly program: string;
  readonly architecture: string;
  readonly cacheDirectory: string;
}): Accelerator {
  if (nativeArchitecture[arch()] !== options.architecture || !canOpenKvm()) return "tcg";
  const memory = join(options.cacheDirectory, `accelerator-${sha256(`${options.program} ${bootId()}`).slice(0, 16)}`);
  try {
    const remembered = readFileSync(memory, "utf8").trim();
    if (remembered === "kvm" || remembered === "tcg") return remembered;
  } catch {
    // Not tried since the host started.
  }
  const outcome: Accelerator = kvmWorks(options) ? "kvm" : "tcg";
  try {
    mkdirSync(options.cacheDirectory, { recursive: true });
    writeFileSync(`${memory}.${process.pid}`, outcome);
    renameSync(`${memory}.${process.pid}`, memory);
  } catch {
    // Only a memory: the next run tries again.
  }
  return outcome;
}

const nativeArchitecture: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", riscv64: "riscv64" };

const trialMilliseconds = 10_000;

function canOpenKvm(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "unknown";
  }
}

function kvmWorks({ program, architecture }: { program: string; architecture: string }): boolean {
  const common = ["-accel", "kvm", "-cpu", "host", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none"];
  const options: SpawnSyncOptions = {
    timeout: trialMilliseconds,
    killSignal: "SIGKILL",
    stdio: ["pipe", "ignore", "ignore"],
  };
  if (architecture !== "amd64") {
    const input = '{"execute":"qmp_capabilities"}{"execute":"quit"}';
    return (
      spawnSync(program, ["-machine", "virt", "-S", "-qmp", "stdio", ...common], { ...options, input }).status === 0
    );
  }
  const folder = mkdtempSync(join(tmpdir(), "meso-kvm-"));
  try {
    const sector = join(folder, "sector");
    writeFileSync(sector, answeringBootSector());
    const disk = JSON.stringify({ driver: "raw", "node-name": "disk", file: { driver: "file", filename: sector } });
    const machine = [
      ...["-machine", "pc", "-blockdev", disk, "-device", "ide-hd,drive=disk"],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
    ];
    return spawnSync(program, [...machine, ...common], options).status === expectedExit;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** QEMU's isa-debug-exit ends with twice the value written, plus one. */
const answer = 0x15;
const expectedExit = 2 * answer + 1;

/** mov al, answer; out 0xf4, al; hlt: after a BIOS that had to run through real and protected mode. */
function answeringBootSector(): Uint8Array {
  const sector = Buffer.alloc(512);
  sector.set([0xb0, answer, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]);
  sector.set([0x55, 0xaa], 510);
  return sector;
}
