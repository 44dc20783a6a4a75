import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { sha256 } from "../base/hash.ts";
import type { DiskRange, DiskRecipe } from "../image/extent.ts";
import type { DiskLocation, ImageName, Pool } from "./pool.ts";

const run = promisify(execFile);
const MiB = 1 << 20;

/** QEMU reads the bytes of the recipe, which a raw file of ours has, wherever they matter. */
export async function assertReads(pool: Pool, name: ImageName, recipe: DiskRecipe, rawFile: string): Promise<void> {
  const { format, file } = qemuDisk(pool.disk(name));
  const copy = `${rawFile}.${process.pid}.copy`;
  try {
    await run("qemu-img", ["convert", "-U", "-t", "unsafe", "-f", format, "-O", "raw", file, copy]);
    if (format === "qcow2") await run("qemu-img", ["check", "-U", "-f", "qcow2", file]);
    const [found, expected] = [readFileSync(copy), readFileSync(rawFile)];
    assert.equal(found.length, expected.length, `size of ${name}`);
    const at = firstDifference(found, expected, recipe);
    assert.equal(at, undefined, `${name} is not what was published, at byte ${at}`);
  } finally {
    rmSync(copy, { force: true });
  }
}

/** The first byte that differs and matters. */
function firstDifference(found: Buffer, expected: Buffer, { extents, free = [] }: DiskRecipe): number | undefined {
  const covers = (ranges: readonly DiskRange[], at: number) =>
    ranges.some(({ start, length }) => start <= at && at < start + length);
  for (let start = 0; start < found.length; start += 4096) {
    if (found.compare(expected, start, start + 4096, start, start + 4096) === 0) continue;
    for (let at = start; at < Math.min(start + 4096, found.length); at++) {
      if (found[at] !== expected[at] && (covers(extents, at) || !covers(free, at))) return at;
    }
  }
  return undefined;
}

/** How QEMU's tools name a disk. */
export function qemuDisk(location: DiskLocation): { readonly format: string; readonly file: string } {
  if (location.kind === "file") return { format: location.format, file: location.path };
  const { pool, image, user, configuration, keyring } = location;
  const settings = [
    `id=${user}`,
    ...(configuration ? [`conf=${configuration}`] : []),
    ...(keyring ? [`keyring=${keyring}`] : []),
  ];
  return { format: "raw", file: `rbd:${pool}/${image}:${settings.join(":")}` };
}

/** In bytes. */
export interface Pattern {
  readonly at: number;
  readonly length: number;
  readonly byte: number;
}

/** Writes one byte over and over, as a machine would. */
export async function write(pool: Pool, name: ImageName, { at, length, byte }: Pattern): Promise<void> {
  const { format, file } = qemuDisk(pool.disk(name));
  const { stdout } = await run("qemu-io", [
    "-f",
    format,
    "-c",
    `write -P ${byte} ${at} ${length}`,
    "-c",
    "flush",
    file,
  ]);
  assert.match(stdout, /^wrote/m);
}

/** Whether that byte is there, over and over. */
export async function reads(pool: Pool, name: ImageName, { at, length, byte }: Pattern): Promise<boolean> {
  const { format, file } = qemuDisk(pool.disk(name));
  const command = ["-r", "-f", format, "-c", `read -P ${byte} ${at} ${length}`, file];
  const { stdout } = await run("qemu-io", command).catch((error: { stdout: string }) => error);
  return /^read /m.test(stdout) && !/verification failed/.test(stdout);
}

/** Names the first MiB of a disk. */
export async function digest(pool: Pool, name: ImageName): Promise<string> {
  const { format, file } = qemuDisk(pool.disk(name));
  const { stdout } = await run("qemu-io", ["-r", "-f", format, "-c", `read -v 0 ${MiB}`, file], {
    maxBuffer: 1 << 28,
  });
  const dump = stdout.split("\n").filter((line) => /^[0-9a-f]{8}: /.test(line));
  assert.equal(dump.length, MiB / 16);
  return sha256(dump.join("\n"));
}

/** A machine that stands still with the disk in it: `-S`, so that it costs nothing. */
export async function qemuWith(pool: Pool, name: ImageName): Promise<{ readonly end: () => Promise<void> }> {
  const { format, file } = qemuDisk(pool.disk(name));
  const machine = ["-machine", "pc,accel=tcg", "-m", "32", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"];
  const disk = ["-drive", `file=${file},format=${format},if=virtio`];
  const child = spawn("qemu-system-x86_64", [...machine, ...disk], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      said += chunk;
      if (said.includes("QMP")) resolve();
    });
    child.once("close", () => reject(new Error(`QEMU ended: ${complaint}`)));
  });
  return {
    end: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
