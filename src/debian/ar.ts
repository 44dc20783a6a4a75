import { failure } from "../base/error.ts";

/** A member of an ar archive; `position` and `size` are bytes in the archive. */
export interface ArMember {
  readonly name: string;
  readonly position: number;
  readonly size: number;
}

const magic = "!<arch>\n";
const headerBytes = 60;

/** A `.deb` has three, four with a signature. */
const maximumMembers = 16;

/**
 * The members of an ar archive in the form that deb(5) allows: short names, no symbol table. `read` gives
 * bytes of the archive, which has `size` of them.
 *
 * @throws MesoError `corrupt-archive` for anything else.
 */
export function readArMembers(read: (position: number, length: number) => Uint8Array, size: number): ArMember[] {
  if (size < magic.length || textOf(read(0, magic.length)) !== magic) throw corrupt("it is not an ar archive");
  const members: ArMember[] = [];
  let position = magic.length;
  while (position < size) {
    if (members.length === maximumMembers) throw corrupt(`it has more than ${maximumMembers} members`);
    if (position + headerBytes > size) throw corrupt("it ends inside a member's header");
    const member = parseHeader(textOf(read(position, headerBytes)), position + headerBytes);
    const end = member.position + member.size;
    if (end > size) throw corrupt(`its member ${member.name} ends beyond the archive's end`);
    members.push(member);
    // Members start on even bytes; the last one's filling byte may be missing.
    position = end + (end & 1);
  }
  return members;
}

/** Name 16, time 12, owner 6, group 6, mode 8, size 10 characters, then a mark (deb(5), ar(5)). */
function parseHeader(header: string, position: number): ArMember {
  if (header.slice(58) !== "`\n") throw corrupt("a member's header has no end mark");
  // GNU ar ends names with a slash.
  const name = header.slice(0, 16).trimEnd().replace(/\/$/, "");
  const size = header.slice(48, 58).trimEnd();
  if (!/^[\w.+-]+$/.test(name)) throw corrupt(`a member has the name ${JSON.stringify(name)}`);
  if (!/^\d+$/.test(size)) throw corrupt(`its member ${name} has the size ${JSON.stringify(size)}`);
  return { name, position, size: Number(size) };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function corrupt(why: string) {
  return failure("corrupt-archive", why, { expected: "a Debian binary package (deb(5))" });
}
