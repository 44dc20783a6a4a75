/**
 * Proxmox's property strings, `STORAGE:NAME,discard=on,size=32G`: pairs between commas, of which the first may stand
 * without its key. Changes leave everything else as it was found, letter by letter and in its order.
 */

/** The disk's volume; undefined for what holds none (`none,media=cdrom`). */
export function volumeOf(raw: string): string | undefined {
  const value = propertyOf(raw, "file", ["volume"]);
  return value === undefined || value === "none" || value === "cdrom" ? undefined : value;
}

/** The machine whose number a volume bears: `STORAGE:vm-127-root`, on file storages `STORAGE:127/vm-127-root.raw`, of linked clones `STORAGE:base-9-x/vm-127-x`. */
export function ownerOf(volume: string): number | undefined {
  const found = /[:/](?:vm|base)-(\d+)-[^/]*$/.exec(volume);
  return found ? Number(found[1]) : undefined;
}

export function withVolume(raw: string, volume: string): string {
  return withProperty(raw, "file", volume, ["volume"]);
}

/** @param aliases other names of the key. The key itself may stand first without its name. */
export function propertyOf(raw: string, key: string, aliases: readonly string[] = []): string | undefined {
  const found = parts(raw).find(
    (part, index) => names(part) === key || aliases.includes(names(part)!) || isDefault(part, index, key),
  );
  return found?.slice(found.indexOf("=") + 1);
}

export function withProperty(raw: string, key: string, value: string, aliases: readonly string[] = []): string {
  let replaced = false;
  const changed = parts(raw).map((part, index) => {
    const named = names(part) === key || aliases.includes(names(part)!);
    if (!named && !isDefault(part, index, key)) return part;
    replaced = true;
    return named ? `${names(part)}=${value}` : value;
  });
  return [...changed, ...(replaced ? [] : [`${key}=${value}`])].join(",");
}

/** Keys whose name may be left out, by what they are keys of: disks, the agent, the boot order. */
const defaultKeys = new Set(["file", "enabled", "legacy"]);

function parts(raw: string): string[] {
  return raw === "" ? [] : raw.split(",");
}

function names(part: string): string | undefined {
  const end = part.indexOf("=");
  return end < 0 ? undefined : part.slice(0, end);
}

function isDefault(part: string, index: number, key: string): boolean {
  return index === 0 && defaultKeys.has(key) && names(part) === undefined;
}
