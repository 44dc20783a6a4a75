/** capability.h of Linux; those that Debian's scripts give to files. */
const bits: Readonly<Record<string, number>> = {
  cap_dac_override: 1,
  cap_dac_read_search: 2,
  cap_setgid: 6,
  cap_setuid: 7,
  cap_net_bind_service: 10,
  cap_net_broadcast: 11,
  cap_net_admin: 12,
  cap_net_raw: 13,
  cap_ipc_lock: 14,
  cap_sys_chroot: 18,
  cap_sys_ptrace: 19,
  cap_sys_admin: 21,
  cap_sys_nice: 23,
};

/**
 * The value of `security.capability`, in hexadecimal, that setcap(8) stores for one clause such as
 * `cap_net_raw+ep`; undefined for a clause that is not known here. `struct vfs_cap_data` revision 2: magic and
 * effective flag, then permitted and inheritable sets, low words first, little-endian.
 */
export function fileCapability(clause: string): string | undefined {
  const match = /^([a-z_,]+)[=+](p|ep|pe)$/.exec(clause);
  if (!match) return undefined;
  const numbers = match[1]!.split(",").map((name) => (Object.hasOwn(bits, name) ? bits[name] : undefined));
  if (numbers.includes(undefined)) return undefined;
  const value = Buffer.alloc(20);
  value.writeUInt32LE(0x02000000 + (match[2] === "p" ? 0 : 1), 0);
  value.writeUInt32LE(
    numbers.reduce<number>((sum, bit) => sum + 2 ** bit!, 0),
    4,
  );
  return value.toString("hex");
}
