import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { failure } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { MachineSpec } from "./hypervisor.ts";

/** What a slot holds, and everything else that was said of it. */
export interface SlotSettings {
  readonly disk: DiskLocation;
  readonly serial?: string;
  /** The machine starts from it. */
  readonly boot?: boolean;
  /** Further options in QEMU's words, of the device (`rotation_rate`) and of the block node (`cache`). */
  readonly device?: Readonly<Record<string, unknown>>;
  readonly node?: Readonly<Record<string, unknown>>;
}

/** What is known of a machine: `machine.json` in its folder. People may edit it while the machine is off. */
export interface MachineSettings extends MachineSpec {
  readonly formatVersion: 1;
  readonly disks: Readonly<Record<string, SlotSettings>>;
}

const settingsFile = "machine.json";

/** Undefined when there is no such machine. @throws MesoError `invalid-setting` for a file that makes no sense. */
export function readSettings(folder: string, file = settingsFile): MachineSettings | undefined {
  const path = join(folder, file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "EACCES") throw failure("forbidden", `${path} may not be read`);
    throw error;
  }
  const settings = parsed(text);
  const problem = settings === undefined ? "it is no JSON" : wrongIn(settings);
  if (problem) {
    throw failure("invalid-setting", `${path} does not describe a machine: ${problem}`, {
      hint: "mend it, or remove the machine's folder and define the machine anew",
    });
  }
  return settings as MachineSettings;
}

/** Whole or not at all, also after a power cut. */
export function writeSettings(folder: string, settings: MachineSettings, file = settingsFile): void {
  const path = join(folder, file);
  // Only the holder of the machine's lock writes: one name is enough.
  const aside = `${path}.new`;
  const opened = openSync(aside, "w", 0o600);
  try {
    writeSync(opened, `${JSON.stringify(JSON.parse(canonicalJson(settings)), undefined, 2)}\n`);
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
  renameSync(aside, path);
  syncFolder(folder);
}

/** The machine is gone as soon as its settings are; what is left of its folder is nobody's. */
export function forgetSettings(folder: string): void {
  rmSync(join(folder, settingsFile), { force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** An empty folder for a machine that is not there yet: what a killed removal left would be taken for its own. */
export function makeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

export function settingsVersion(settings: MachineSettings): string {
  return hashOf(settings).slice(0, 32);
}

function syncFolder(folder: string): void {
  const opened = openSync(folder, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Fields = Record<string, unknown>;
const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
const isText = (value: unknown): boolean => typeof value === "string";

/** In words; undefined when all is well. */
function wrongIn(value: unknown): string | undefined {
  if (!isRecord(value)) return "it is no object";
  if (value.formatVersion !== 1) return `its formatVersion is ${JSON.stringify(value.formatVersion)}, not 1`;
  if (!isRecord(value.id) || !isText(value.id.name)) return "id.name is missing";
  if (!isText(value.architecture) || !isText(value.description)) return "architecture or description is no text";
  if (!isCount(value.cores) || !isCount(value.memoryMebibytes)) return "cores or memoryMebibytes is no whole number";
  if (value.firmware !== "bios" && value.firmware !== "uefi") return 'firmware is neither "bios" nor "uefi"';
  if (!Array.isArray(value.nics) || !value.nics.every(isNic)) return "nics is no list of network cards";
  if (!isRecord(value.disks)) return "disks is no object";
  const wrong = Object.entries(value.disks).find(([, slot]) => !isSlot(slot));
  return wrong && `disks.${wrong[0]} does not describe a disk`;
}

function isNic(nic: unknown): boolean {
  if (!isRecord(nic) || !isText(nic.network) || !isText(nic.mac)) return false;
  if (nic.tag !== undefined && !isCount(nic.tag)) return false;
  return nic.forwards === undefined || (isRecord(nic.forwards) && Object.values(nic.forwards).every(isCount));
}

function isSlot(slot: unknown): boolean {
  if (!isRecord(slot) || !isDisk(slot.disk)) return false;
  const options = [slot.device, slot.node].every((value) => value === undefined || isRecord(value));
  const isBoot = slot.boot === undefined || typeof slot.boot === "boolean";
  return options && isBoot && (slot.serial === undefined || isText(slot.serial));
}

function isDisk(disk: unknown): boolean {
  if (!isRecord(disk)) return false;
  if (disk.kind === "file") return isText(disk.path) && (disk.format === "raw" || disk.format === "qcow2");
  const optional = [disk.configuration, disk.keyring, disk.storage];
  const required = [disk.pool, disk.image, disk.user];
  return (
    disk.kind === "rbd" && required.every(isText) && optional.every((value) => value === undefined || isText(value))
  );
}
