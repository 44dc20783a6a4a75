import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { formatBytes } from "../base/progress.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import { updateRaw } from "../image/output/update-raw.ts";
import { writeRaw } from "../image/output/write-raw.ts";
import type { DiskImage } from "./disk-image.ts";
import { keptDiskImage } from "./kept-image.ts";
import { type BuildSession, stage } from "./session.ts";

export const outputFormats = ["raw", "qcow2"] as const;
export type OutputFormat = (typeof outputFormats)[number];

export interface OutputOptions {
  readonly path: string;
  readonly format: OutputFormat;
  /** Write only what differs into the raw file of an earlier run, which nobody may be using. */
  readonly inPlace?: boolean;
}

/**
 * Writes the image to a file. A file that an earlier run wrote for the same image, and nobody has touched since,
 * is left as it is. Gives the number of bytes written, 0 for a file that was right already.
 */
export async function writeOutput(session: BuildSession, image: DiskImage, options: OutputOptions): Promise<number> {
  const { store } = session;
  const { path, format } = options;
  const file = resolve(path);
  const memory = `output 2 ${file}`;
  const identity = identityOfFile(file);
  const last = store.recall(memory) as WrittenOutput | undefined;
  const isUntouched = identity && last && canonicalJson(last.identity) === canonicalJson(identity);
  if (isUntouched && last.imageHash === image.imageHash && last.format === format) {
    session.report({ stage: "write", text: `${path} is up to date`, seconds: 0 });
    return 0;
  }
  const isPatchable = options.inPlace && isUntouched && last.format === "raw" && format === "raw";
  const inMemory = image.base?.key === last?.key ? image.base : undefined;
  const before = isPatchable ? (inMemory ?? keptDiskImage(session, last.key)) : undefined;
  const written = await stage(
    session,
    "write",
    () => {
      if (format === "qcow2") return writeQcow2(image.recipe, file, store);
      if (!before) return writeRaw(image.recipe, file, store);
      const identify = (id: string): string => store.readSegmentTable(id).dataSha256;
      return updateRaw(before.recipe, image.recipe, file, store, identify);
    },
    (bytes) => `${path}, ${formatBytes(bytes)}${before ? " that differ" : ""}`,
  );
  const { key, imageHash } = image;
  store.remember(memory, { format, key, imageHash, identity: identityOfFile(file) } satisfies WrittenOutput);
  return written;
}

/** What is remembered of a file that was written. */
interface WrittenOutput {
  readonly format: OutputFormat;
  readonly key: string;
  readonly imageHash: string;
  readonly identity: object | undefined;
}

/** What tells that a file is the very one that was written: the change time moves with any write, rename or chmod. */
function identityOfFile(file: string): object | undefined {
  const status = statSync(file, { throwIfNoEntry: false, bigint: true });
  if (!status?.isFile()) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = status;
  const identity = { dev, ino, size, mtimeNs, ctimeNs };
  // Its pages may not have reached the disk: after a reboot the file proves nothing.
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  return { boot, ...Object.fromEntries(Object.entries(identity).map(([key, value]) => [key, String(value)])) };
}
