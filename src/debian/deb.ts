import { failure } from "../base/error.ts";
import { type ArMember, readArMembers } from "./ar.ts";

export type DebCompression = "none" | "gz" | "xz" | "zst" | "bz2" | "lzma";

/** One of the two tar archives in a `.deb`; `position` and `size` are bytes of the whole file. */
export interface DebMember {
  readonly compression: DebCompression;
  readonly position: number;
  readonly size: number;
}

/**
 * Where the control and data archives of a `.deb` are (deb(5), format 2). `read` gives bytes of the file.
 *
 * @throws MesoError `corrupt-archive` when it is none.
 */
export function locateDebMembers(
  read: (position: number, length: number) => Uint8Array,
  size: number,
): { readonly control: DebMember; readonly data: DebMember } {
  const [version, control, data, extra] = withoutPrivate(readArMembers(read, size));
  if (version?.name !== "debian-binary") throw corrupt("its first member is not debian-binary");
  const format = Buffer.from(read(version.position, Math.min(version.size, 32))).toString("latin1");
  if (!format.startsWith("2.")) throw corrupt(`it has the format version ${JSON.stringify(format)}`);
  if (extra) throw corrupt(`it has an unknown member ${extra.name}`);
  return { control: tarMember(control, "control"), data: tarMember(data, "data") };
}

/** Names that begin with an underscore are for others, and to be skipped. */
function withoutPrivate(members: readonly ArMember[]): ArMember[] {
  return members.filter((member) => !member.name.startsWith("_"));
}

const compressions: Readonly<Record<string, DebCompression>> = {
  "": "none",
  ".gz": "gz",
  ".xz": "xz",
  ".zst": "zst",
  ".bz2": "bz2",
  ".lzma": "lzma",
};

function tarMember(member: ArMember | undefined, part: "control" | "data"): DebMember {
  const compression = member?.name.startsWith(`${part}.tar`) && compressions[member.name.slice(part.length + 4)];
  if (!member || !compression) throw corrupt(`it has ${member?.name ?? "nothing"} where ${part}.tar should be`);
  return { compression, position: member.position, size: member.size };
}

function corrupt(why: string) {
  return failure("corrupt-archive", why, { expected: "a Debian binary package (deb(5), format 2)" });
}
