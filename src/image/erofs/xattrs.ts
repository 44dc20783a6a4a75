import { failure } from "../../base/error.ts";
import { sortedBy } from "../../base/order.ts";

/**
 * The inline xattr body of an inode (erofs_fs.h: erofs_xattr_ibody_header and erofs_xattr_entry): a 12-byte
 * header without shared attributes, then entries sorted by name, each padded to 4 bytes. Empty without xattrs.
 *
 * @throws MesoError `bad-xattr` for a name outside the namespaces that EROFS knows, or what is too long.
 */
export function encodeXattrs(xattrs: Readonly<Record<string, Uint8Array>> | undefined, path: string): Buffer {
  const names = xattrs ? sortedBy(Object.keys(xattrs), (name) => name) : [];
  if (names.length === 0) return empty;
  const body = Buffer.concat([header, ...names.map((name) => encodeEntry(name, xattrs![name]!, path))]);
  if (body.length > longestBody) {
    throw failure("bad-xattr", `${path}: ${body.length} bytes of extended attributes`, {
      expected: `at most ${longestBody} bytes for one file`,
    });
  }
  return body;
}

const empty = Buffer.alloc(0);
const header = Buffer.alloc(12);
/** `i_xattr_icount` is 16 bits wide and counts 4-byte units after the header. */
const longestBody = 12 + 4 * (0xffff - 1);

/** EROFS_XATTR_INDEX_*: what a one-byte index stands for at the start of a name. */
const prefixes = [
  { index: 1, prefix: "user." },
  { index: 2, prefix: "system.posix_acl_access", whole: true },
  { index: 3, prefix: "system.posix_acl_default", whole: true },
  { index: 4, prefix: "trusted." },
  { index: 6, prefix: "security." },
] as const;

function encodeEntry(name: string, value: Uint8Array, path: string): Buffer {
  const known = prefixes.find((each) => ("whole" in each ? name === each.prefix : name.startsWith(each.prefix)));
  const suffix = Buffer.from(name.slice(known?.prefix.length ?? 0));
  const isNameComplete = known !== undefined && ("whole" in known || suffix.length > 0);
  if (!isNameComplete || suffix.length > 255 || value.length > 0xffff) {
    throw failure("bad-xattr", `${path}: extended attribute ${JSON.stringify(name)} of ${value.length} bytes`, {
      expected: "user.*, trusted.*, security.* or system.posix_acl_*; names to 255 bytes, values to 65535",
    });
  }
  const length = 4 + suffix.length + value.length;
  const entry = Buffer.alloc(Math.ceil(length / 4) * 4);
  entry.writeUInt8(suffix.length, 0);
  entry.writeUInt8(known.index, 1);
  entry.writeUInt16LE(value.length, 2);
  entry.set(suffix, 4);
  entry.set(value, 4 + suffix.length);
  return entry;
}
