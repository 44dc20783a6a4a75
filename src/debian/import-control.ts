import { failure } from "../base/error.ts";
import type { DebianControl } from "../store/segment.ts";
import { parseControl } from "./control.ts";
import { readTar } from "./tar.ts";
import { type ByteSource, forEachPiece } from "./tar-source.ts";

/** Far above the largest in Debian, which are lists of checksums of some megabytes. Bytes. */
export const maximumControlFileBytes = 32 * 1024 * 1024;

/** Bounds the whole control archive before it is expanded. Bytes. */
export const maximumControlTarBytes = 64 * 1024 * 1024;

/**
 * The control archive of a `.deb` as text. Scripts are kept and never run. A file that is not UTF-8 is taken
 * byte by byte as ISO 8859-1, so that nothing of it is lost.
 *
 * @throws MesoError `corrupt-archive`, `unsafe-archive`, and `bad-control` for a malformed control file.
 */
export function readDebianControl(source: ByteSource): DebianControl {
  const files = new Map<string, string>();
  for (const member of readTar(source)) {
    const name = member.path.replace(/^\.\//, "").replace(/\/$/, "");
    if (member.kind === "directory" && (name === "" || name === ".")) continue;
    if (member.kind !== "file" || !/^[\w.+-]+$/.test(name) || name === "..") {
      throw failure("unsafe-archive", `its control archive holds ${JSON.stringify(member.path)}, a ${member.kind}`, {
        expected: "files only, in no folder",
      });
    }
    if (files.has(name)) throw failure("unsafe-archive", `its control archive holds ${name} twice`);
    if (member.size > maximumControlFileBytes) {
      throw failure("unsafe-archive", `its control file ${name} has ${member.size} bytes`, {
        expected: `at most ${maximumControlFileBytes}`,
      });
    }
    files.set(name, textOf(source, member.position, member.size));
  }
  const text = files.get("control");
  if (text === undefined) throw failure("corrupt-archive", "its control archive has no file control");
  files.delete("control");
  return { control: parseFields(text), controlFiles: Object.fromEntries(files) };
}

const required = ["Package", "Version", "Architecture"];

function parseFields(text: string): Readonly<Record<string, string>> {
  const [paragraph, second] = parseControl(text, { source: "its control file" });
  if (!paragraph || second) throw failure("corrupt-archive", "its control file is not one paragraph");
  for (const name of required) {
    if (!paragraph.fields.get(name)) throw failure("corrupt-archive", `its control file has no field ${name}`);
  }
  return Object.fromEntries(paragraph.fields);
}

function textOf(source: ByteSource, position: number, size: number): string {
  const bytes = Buffer.alloc(size);
  let filled = 0;
  forEachPiece(source, position, size, (piece) => {
    bytes.set(piece, filled);
    filled += piece.length;
  });
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.toString("latin1");
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
