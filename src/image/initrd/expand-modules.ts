import { spawn } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { failure } from "../../base/error.ts";
import { xzUncompressedBytes } from "../../debian/xz-index.ts";

export interface ModuleFile {
  /** As `modules.dep` names it: its suffix tells how it is compressed. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * The modules' own bytes, in order, whatever they are compressed by (.xz, .gz, .zst). One process expands all that are
 * of xz: to start one takes longer than its work.
 *
 * @throws MesoError `bad-module`.
 */
export async function expandModules(modules: readonly ModuleFile[]): Promise<Uint8Array[]> {
  const expandedXz = (await expandXz(modules.filter((one) => compressionOf(one) === "xz"))).values();
  return modules.map((one) => {
    const compression = compressionOf(one);
    if (compression === undefined) return one.bytes;
    if (compression === "xz") return expandedXz.next().value!;
    const expand = { gz: gunzipSync, zst: zstdDecompressSync }[compression];
    if (!expand) throw bad(one.path, `unknown compression "${compression}"`, { expected: "xz, gz or zst" });
    try {
      return expand(one.bytes, { maxOutputLength: maxModuleBytes });
    } catch (error) {
      throw bad(one.path, (error as Error).message);
    }
  });
}

/** Modules of any kernel stay far below; a bomb does not. */
const maxModuleBytes = 256 << 20;

function compressionOf({ path }: ModuleFile): string | undefined {
  return /\.ko\.([a-z0-9]+)$/.exec(path)?.[1];
}

async function expandXz(modules: readonly ModuleFile[]): Promise<Uint8Array[]> {
  if (modules.length === 0) return [];
  const sizes = modules.map(sizeOfXz);
  const all = await runXz(modules);
  let end = 0;
  return sizes.map((size) => {
    end += size;
    return all.subarray(end - size, end);
  });
}

function sizeOfXz({ path, bytes }: ModuleFile): number {
  try {
    const size = xzUncompressedBytes((position, length) => bytes.subarray(position, position + length), bytes.length);
    if (size > maxModuleBytes) throw new Error(`it expands to ${size} bytes`);
    return size;
  } catch (error) {
    throw bad(path, (error as Error).message);
  }
}

/** The streams one after the other, as xz(1) takes them; a stream that does not expand to what it says is refused. */
async function runXz(modules: readonly ModuleFile[]): Promise<Buffer> {
  // XZ_OPT and its like must not reach it, and its messages shall be in one language.
  const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" };
  const child = spawn("xz", ["-dc", "-T1"], { env });
  const names = modules.map(({ path }) => path).join(", ");
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  child.stdin.on("error", () => {}); // It ended early: its exit code tells.
  for (const { bytes } of modules) child.stdin.write(bytes);
  child.stdin.end();
  try {
    const [status, output, message] = await Promise.all([ended, buffer(child.stdout), buffer(child.stderr)]);
    if (status === 0) return output;
    throw bad(names, message.toString().trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw bad(names, "the program xz is not installed", { hint: "apt-get install xz-utils" });
  }
}

function bad(path: string, why: string, more: { expected?: string; hint?: string } = {}) {
  return failure("bad-module", `${path}: ${why}`, more);
}
