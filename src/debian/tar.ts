import { failure } from "../base/error.ts";
import { corruptTar, parseTarHeader, type TarHeader, tarBlockBytes, utf8Text } from "./tar-header.ts";
import { type ByteSource, forEachPiece, windowBytes } from "./tar-source.ts";

/** A member of a tar archive, extended headers applied. Paths are as the archive spells them. */
export interface TarMember {
  readonly kind: "file" | "directory" | "symlink" | "hardlink";
  readonly path: string;
  /** Of links. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** "" when the archive gives numbers only. */
  readonly user: string;
  readonly group: string;
  readonly mtime: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  /** Bytes of content, and where it starts in the source. */
  readonly size: number;
  readonly position: number;
}

/** The most bytes that a long name or a set of PAX records may take. */
const maximumExtensionBytes = windowBytes;

const kinds: Readonly<Record<string, TarMember["kind"]>> = { 0: "file", 1: "hardlink", 2: "symlink", 5: "directory" };

/**
 * The members of a tar in order: ustar, GNU long names and links, PAX records.
 *
 * @throws MesoError `corrupt-archive` when it is cut short or malformed; `unsafe-archive` for devices, pipes,
 * sparse files and everything else that is no file, directory or link.
 */
export function* readTar(source: ByteSource): Generator<TarMember, void> {
  let position = 0;
  let extension: Extension = {};
  for (;;) {
    if (position + tarBlockBytes > source.size) throw corruptTar("it ends before its end mark");
    const block = source.view(position, tarBlockBytes);
    if (block.every((byte) => byte === 0)) break;
    const header = parseTarHeader(block);
    position += tarBlockBytes;
    const isExtension = header.type === "L" || header.type === "K" || header.type === "x";
    const size = isExtension ? header.size : (extension.size ?? header.size);
    const next = position + Math.ceil(size / tarBlockBytes) * tarBlockBytes;
    if (next > source.size) throw corruptTar(`the content of ${JSON.stringify(header.name)} is cut short`);
    if (isExtension) {
      if (size > maximumExtensionBytes) throw corruptTar(`an extended header of ${size} bytes`);
      extension = { ...extension, ...parseExtension(header.type, source.view(position, size)) };
    } else {
      yield member(header, extension, position, size);
      extension = {};
    }
    position = next;
  }
  checkEnd(source, position);
}

/** What extended headers say about the member that follows them. */
interface Extension {
  readonly path?: string;
  readonly target?: string;
  readonly size?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly user?: string;
  readonly group?: string;
  readonly mtime?: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

function member(header: TarHeader, extension: Extension, position: number, size: number): TarMember {
  const path = extension.path ?? header.name;
  // Before ustar, a directory was a file whose name ended with a slash.
  const kind = header.type === "0" && path.endsWith("/") ? "directory" : kinds[header.type];
  if (!kind) throw unsafeMember(path, header.type);
  if (kind !== "file" && size !== 0) throw corruptTar(`${JSON.stringify(path)}, a ${kind}, has a content`);
  return {
    kind,
    path,
    target: extension.target ?? header.linkName,
    mode: header.mode & 0o7777,
    uid: extension.uid ?? header.uid,
    gid: extension.gid ?? header.gid,
    user: extension.user ?? header.user,
    group: extension.group ?? header.group,
    mtime: extension.mtime ?? header.mtime,
    ...(extension.xattrs ? { xattrs: extension.xattrs } : {}),
    size,
    position,
  };
}

function unsafeMember(path: string, type: string) {
  const names: Record<string, string> = { 3: "a character device", 4: "a block device", 6: "a pipe", S: "sparse" };
  return failure(
    "unsafe-archive",
    `${JSON.stringify(path)} is ${names[type] ?? `of the tar type ${JSON.stringify(type)}`}`,
    {
      expected: "files, directories and links only",
    },
  );
}

function parseExtension(type: string, content: Uint8Array): Extension {
  if (type === "x") return parsePax(content);
  const end = content.at(-1) === 0 ? content.length - 1 : content.length;
  const text = utf8Text(content.subarray(0, end));
  return type === "L" ? { path: text } : { target: text };
}

/** Records `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax Extended Header), LENGTH counting all of the record. */
function parsePax(content: Uint8Array): Extension {
  let extension: Extension = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const digits = Buffer.from(content.subarray(at, space < 0 ? at : space)).toString("latin1");
    const end = at + Number(digits);
    const equals = content.indexOf(0x3d, space);
    if (!/^[1-9]\d{0,8}$/.test(digits) || equals < 0 || equals >= end - 1 || content[end - 1] !== 0x0a) {
      throw corruptTar("a malformed PAX record");
    }
    const key = utf8Text(content.subarray(space + 1, equals));
    extension = withRecord(extension, key, content.subarray(equals + 1, end - 1));
    at = end;
  }
  return extension;
}

const xattrPrefix = "SCHILY.xattr.";

/** Records that change nothing which is kept. */
const ignoredRecords = new Set([
  "atime",
  "ctime",
  "comment",
  "LIBARCHIVE.creationtime",
  "SCHILY.dev",
  "SCHILY.ino",
  "SCHILY.nlink",
]);

function withRecord(extension: Extension, key: string, value: Uint8Array): Extension {
  if (key.startsWith(xattrPrefix)) {
    return { ...extension, xattrs: { ...extension.xattrs, [key.slice(xattrPrefix.length)]: value.slice() } };
  }
  if (ignoredRecords.has(key)) return extension;
  const text = utf8Text(value);
  switch (key) {
    case "path":
      return { ...extension, path: text };
    case "linkpath":
      return { ...extension, target: text };
    case "uname":
      return { ...extension, user: text };
    case "gname":
      return { ...extension, group: text };
    case "size":
    case "uid":
    case "gid":
      return { ...extension, [key]: paxNumber(key, text) };
    case "mtime":
      // A fraction of a second is dropped.
      return { ...extension, mtime: paxNumber(key, text.replace(/\.\d*$/, "")) };
    default:
      throw failure("unsafe-archive", `its tar has the PAX record ${JSON.stringify(key)}`, {
        expected: "no sparse files, access lists or unknown extensions",
      });
  }
}

function paxNumber(key: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw corruptTar(`the PAX record ${key}=${JSON.stringify(text)}`);
  return Number(text);
}

/** After the first zero block nothing but zeros may follow: hidden content would escape every check. */
function checkEnd(source: ByteSource, position: number): void {
  forEachPiece(source, position, source.size - position, (piece) => {
    if (piece.some((byte) => byte !== 0)) throw corruptTar("something follows its end mark");
  });
}
