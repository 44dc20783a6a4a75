import { failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";

interface CpioAttributes {
  /** Absolute and normalised: "/bin/busybox". */
  readonly path: string;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
}

export type CpioEntry =
  | (CpioAttributes & { readonly kind: "file"; readonly data: Uint8Array })
  | (CpioAttributes & { readonly kind: "directory" })
  | (CpioAttributes & { readonly kind: "symlink"; readonly target: string })
  | (CpioAttributes & {
      readonly kind: "character-device";
      readonly device: { readonly major: number; readonly minor: number };
    });

/**
 * A cpio archive that the kernel unpacks as its initramfs (Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst, "newc"): sorted, so that each directory comes before what it holds; directories that no
 * entry names are added with mode 0755. Owned by root, times 0, numbered from 1, padded to 512 bytes.
 *
 * @throws MesoError `bad-path` for paths that are relative, climb or occur twice, `too-large` beyond 4 GiB.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const members = withParents(entries).map(encodeMember);
  const trailer = encodeHeader({ ino: 0, mode: 0, links: 1, size: 0, major: 0, minor: 0, name: "TRAILER!!!" });
  const archive = Buffer.concat([...members.flat(), trailer]);
  return Buffer.concat([archive, padding(archive.length, 512)]);
}

function withParents(entries: readonly CpioEntry[]): CpioEntry[] {
  const byPath = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const parts = entry.path.split("/").slice(1);
    const isNormal = parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
    if (!entry.path.startsWith("/") || !isNormal || byPath.has(entry.path)) {
      throw failure("bad-path", `${JSON.stringify(entry.path)} is no path of an archive, or is there twice`, {
        expected: "an absolute path without empty parts, dots or NUL",
      });
    }
    byPath.set(entry.path, entry);
  }
  for (const { path } of entries) {
    for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
      const parent = path.slice(0, slash);
      const above = byPath.get(parent) ?? { kind: "directory", path: parent, mode: 0o755 };
      if (above.kind !== "directory") {
        throw failure("bad-path", `${path} lies below ${parent}, which is a ${above.kind}`, {
          expected: "a directory",
        });
      }
      byPath.set(parent, above);
    }
  }
  return sortedBy(byPath.values(), (entry) => entry.path);
}

const typeBits = { file: 0o100000, directory: 0o040000, symlink: 0o120000, "character-device": 0o020000 } as const;

function encodeMember(entry: CpioEntry, index: number): Uint8Array[] {
  const data = contents(entry);
  if (data.length > 0xffff_ffff) throw failure("too-large", `${entry.path} has ${data.length} bytes`);
  const { major, minor } = entry.kind === "character-device" ? entry.device : { major: 0, minor: 0 };
  const header = encodeHeader({
    ino: index + 1,
    mode: entry.mode | typeBits[entry.kind],
    links: entry.kind === "directory" ? 2 : 1,
    size: data.length,
    major,
    minor,
    name: entry.path.slice(1),
  });
  return [header, data, padding(data.length, 4)];
}

function contents(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.data;
  return entry.kind === "symlink" ? Buffer.from(entry.target) : Buffer.alloc(0);
}

interface Header {
  readonly ino: number;
  readonly mode: number;
  readonly links: number;
  readonly size: number;
  readonly major: number;
  readonly minor: number;
  /** Without the slash in front: the kernel unpacks into its root. */
  readonly name: string;
}

/** Magic and 13 fields of eight hexadecimal digits, then the name with its NUL, padded to 4 bytes. */
function encodeHeader({ ino, mode, links, size, major, minor, name }: Header): Buffer {
  const [owner, time, device, check] = [0, 0, 0, 0];
  const nameBytes = Buffer.byteLength(name) + 1;
  const fields = [ino, mode, owner, owner, links, time, size, device, device, major, minor, nameBytes, check];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  const bytes = Buffer.from(text);
  return Buffer.concat([bytes, padding(bytes.length, 4)]);
}

function padding(length: number, multiple: number): Buffer {
  return Buffer.alloc((multiple - (length % multiple)) % multiple);
}
