import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";

/** Archives made byte by byte, so that tests can make what no honest tool would. */

export interface TarPiece {
  readonly name: string;
  /** Type flag, "0" when not given. */
  readonly type?: string;
  readonly link?: string;
  readonly content?: Uint8Array | string;
  readonly mode?: number;
  readonly user?: string;
  readonly uid?: number;
  /** What the header claims, when it is not the content's length. */
  readonly size?: number;
  readonly brokenChecksum?: boolean;
}

export function tar(pieces: readonly TarPiece[], end = Buffer.alloc(1024)): Buffer {
  return Buffer.concat([...pieces.map(tarPiece), end]);
}

/** PAX records as an extended header for the next piece. */
export function pax(records: Readonly<Record<string, string>>): TarPiece {
  const content = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    let length = rest + 1;
    while (rest + String(length).length !== length) length = rest + String(length).length;
    return `${length} ${key}=${value}\n`;
  });
  return { name: "PaxHeader", type: "x", content: content.join("") };
}

function tarPiece(piece: TarPiece): Buffer {
  const content = Buffer.from(piece.content ?? "");
  const header = Buffer.alloc(512);
  header.write(piece.name, 0, 100);
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  octal(piece.mode ?? 0o644, 100, 8);
  octal(piece.uid ?? 0, 108, 8);
  octal(0, 116, 8);
  octal(piece.size ?? content.length, 124, 12);
  octal(1_700_000_000, 136, 12);
  header.fill(" ", 148, 156);
  header.write(piece.type ?? "0", 156);
  header.write(piece.link ?? "", 157, 100);
  header.write("ustar\x0000", 257, "latin1");
  header.write(piece.user ?? "root", 265, 32);
  header.write("root", 297, 32);
  const sum = header.reduce((total, byte) => total + byte, 0) + (piece.brokenChecksum ? 1 : 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 511)]);
}

export function ar(members: readonly (readonly [name: string, content: Uint8Array | string])[]): Buffer {
  const parts = members.flatMap(([name, content]) => {
    const bytes = Buffer.from(content);
    const header = `${name.padEnd(16)}0           0     0     100644  ${String(bytes.length).padEnd(10)}\`\n`;
    return [Buffer.from(header), bytes, Buffer.alloc(bytes.length & 1, "\n")];
  });
  return Buffer.concat([Buffer.from("!<arch>\n"), ...parts]);
}

export const control = "Package: sample\nVersion: 1\nArchitecture: all\n";

/** A `.deb` of these data pieces; compressed with gzip, which needs no other program. */
export function deb(data: readonly TarPiece[], controlText = control): Buffer {
  return debOf(tar(data), tar([{ name: "./control", content: controlText }]));
}

export function debOf(
  dataTar: Uint8Array,
  controlTar: Uint8Array = tar([{ name: "./control", content: control }]),
): Buffer {
  return ar([
    ["debian-binary", "2.0\n"],
    ["control.tar.gz", gzipSync(controlTar)],
    ["data.tar.gz", gzipSync(dataTar)],
  ]);
}

export function xz(bytes: Uint8Array, ...options: string[]): Buffer {
  const { stdout, status } = spawnSync("xz", ["-c", ...options], { input: bytes, maxBuffer: 1 << 30 });
  if (status !== 0) throw new Error("xz failed");
  return stdout;
}
