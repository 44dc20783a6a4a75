import { execFile } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { failure } from "../base/error.ts";
import type { DiskSource } from "./qemu-disks.ts";

/** Bytes, as the machine sees the disk. @throws MesoError `no-disk` when it cannot be opened. */
export async function diskSize(source: Extract<DiskSource, { kind: "raw" | "qcow2" | "rbd" }>): Promise<number> {
  if (source.kind === "rbd") return rbdSize(source);
  const { path } = source;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw failure("no-disk", `${path} does not exist`, { expected: `a disk image (${source.kind})` });
  if (source.kind === "raw") return stat.size;
  const header = Buffer.alloc(32);
  const file = openSync(path, "r");
  try {
    readSync(file, header, 0, header.length, 0);
  } finally {
    closeSync(file);
  }
  if (header.toString("latin1", 0, 4) !== "QFI\xfb") throw failure("no-disk", `${path} is not a qcow2 file`);
  return Number(header.readBigUInt64BE(24));
}

/** Milliseconds; librados waits five minutes for monitors that do not answer. */
const patience = 60_000;

/** Asked of QEMU, which opens it the same way later. */
function rbdSize({ pool, image, user, configuration }: Extract<DiskSource, { kind: "rbd" }>): Promise<number> {
  const file = { driver: "rbd", pool, image, user, ...(configuration !== undefined && { conf: configuration }) };
  const name = `json:${JSON.stringify({ driver: "raw", file })}`;
  return new Promise((resolve, reject) => {
    const args = ["info", "--output=json", "--force-share", name];
    execFile("qemu-img", args, { timeout: patience, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const size = error ? undefined : sizeIn(stdout);
      if (size !== undefined) return resolve(size);
      const missing = (error as NodeJS.ErrnoException | null)?.code === "ENOENT";
      const why = missing ? "qemu-img is not installed" : stderr.trim() || "no answer";
      const hint = missing ? "apt-get install qemu-utils" : "is the cluster reachable, and qemu-block-extra installed?";
      reject(failure("no-disk", `the image ${pool}/${image} cannot be opened: ${why}`, { hint }));
    });
  });
}

function sizeIn(json: string): number | undefined {
  const size = (JSON.parse(json) as Record<string, unknown>)["virtual-size"];
  return typeof size === "number" ? size : undefined;
}
