import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { failure } from "../base/error.ts";
import type { QemuMonitor } from "./qemu-monitor.ts";

/** What the machine's screen shows, as a PNG. @throws MesoError `task-failed` for a machine without a screen. */
export async function takeScreenshot(monitor: QemuMonitor): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), "meso-screen-"));
  const filename = join(folder, "screen");
  try {
    // QEMU writes PNG itself only where it was built with libpng, which its answer does not tell beforehand.
    await monitor.execute("screendump", { filename, format: "ppm" });
    return pngFromPpm(readFileSync(filename));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From the binary portable pixmap of QEMU (8 bits a colour). @throws MesoError `task-failed` for anything else. */
export function pngFromPpm(ppm: Buffer): Buffer {
  const header = /^P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s/.exec(ppm.toString("latin1", 0, 64));
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const pixels = ppm.subarray(header?.[0].length ?? 0);
  if (!header || width === 0 || height === 0 || pixels.length !== width * height * 3) {
    throw failure("task-failed", "QEMU's screenshot is not a portable pixmap");
  }
  // Each row begins with the number of its filter: 0, none (PNG specification, section 9).
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let row = 0; row < height; row++) {
    pixels.copy(rows, row * (1 + width * 3) + 1, row * width * 3, (row + 1) * width * 3);
  }
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  // 8 bits a colour, true colour; deflate, no filter choice, no interlace.
  size.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, chunk("IHDR", size), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.of())]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const whole = Buffer.alloc(named.length + 8);
  whole.writeUInt32BE(data.length, 0);
  named.copy(whole, 4);
  whole.writeUInt32BE(crc32(named), named.length + 4);
  return whole;
}
