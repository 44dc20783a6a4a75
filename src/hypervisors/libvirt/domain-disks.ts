import { assert, failure } from "../../base/error.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import type { CephMonitor } from "./ceph-monitors.ts";
import { attribute, child, childrenOf, type Edit, edited, escapeXml, type XmlElement, xml } from "./xml.ts";

/** A hard disk of a domain. */
export interface DomainDisk {
  /** `scsi0`: as the alias says that we write, else as bus and letter make it. */
  readonly slot: string;
  /** What `volumeName` gives for it; empty when nothing is in it. */
  readonly volume: string;
  readonly element: XmlElement;
}

/** What a new source needs beside the pool's own words. */
export interface CephAccess {
  /** UUID of libvirt's secret; undefined: the cluster asks for no key. */
  readonly secret: string | undefined;
  /** Empty: whatever the hypervisor's own ceph.conf says. */
  readonly monitors: readonly CephMonitor[];
}

/** The hard disks, in libvirt's order; CD and floppy drives are no slots. */
export function disksOf(domain: XmlElement): readonly DomainDisk[] {
  const taken = new Set<string>();
  return diskElements(domain).map((element) => {
    const target = attribute(child(element, "target"), "dev") ?? "";
    const name = aliasSlot(element) ?? slotOfTarget(element);
    const slot = name !== undefined && !taken.has(name) ? name : target;
    taken.add(slot);
    return { slot, volume: volumeOf(element), element };
  });
}

/** The name of a disk as `slots` shows it. */
export function volumeName(disk: DiskLocation): string {
  if (disk.kind === "rbd") return `rbd:${disk.pool}/${disk.image}`;
  if (!disk.path.startsWith("/")) {
    throw failure("invalid-setting", `libvirt cannot open ${disk.path}`, { expected: "a path from the root" });
  }
  return disk.path;
}

/**
 * The text of a disk with another source: what says where its bytes are and how they are packed changes, and nothing
 * else does, byte for byte. A source of the same kind keeps its own options too.
 */
export function withSource(text: string, disk: XmlElement, location: DiskLocation, access: CephAccess): string {
  const source = child(disk, "source");
  const driver = child(disk, "driver");
  const { type, format } = kindOf(location);
  const edits: Edit[] = [];
  const set = (element: XmlElement, name: string, value: string) => {
    const found = element.attributes.get(name);
    if (found) edits.push({ start: found.start, end: found.end, by: escapeXml(value) });
    else edits.push({ ...at(element.start + 1 + element.name.length), by: ` ${name}='${escapeXml(value)}'` });
  };
  if (attribute(disk, "type") !== type) set(disk, "type", type);
  if (!driver) edits.push({ ...at(disk.innerStart), by: xml("driver", { name: "qemu", type: format }) });
  else if (attribute(driver, "type") !== format) set(driver, "type", format);
  if (!source) edits.push({ ...at(disk.innerStart), by: sourceXml(location, access) });
  else if (isSameKind(disk, source, location, access)) {
    const [name, value] = namingAttribute(location);
    if (attribute(source, name) !== value) set(source, name, value);
  } else edits.push({ start: source.start, end: source.end, by: sourceXml(location, access) });
  // A chain that was written down for the old disk is not the new one's; libvirt finds that by itself.
  const chain = child(disk, "backingStore");
  if (edits.length > 0 && chain) edits.push({ start: chain.start, end: chain.end, by: "" });
  const shift = (offset: number) => offset - disk.start;
  return edited(
    text.slice(disk.start, disk.end),
    edits.map(({ start, end, by }) => ({ start: shift(start), end: shift(end), by })),
  );
}

/** A disk for a slot that the domain does not have yet. @throws MesoError `invalid-setting`. */
export function newDisk(
  domain: XmlElement,
  slot: string,
  location: DiskLocation,
  access: CephAccess,
  options: { readonly serial?: string | undefined; readonly boot?: boolean | undefined; readonly controller?: number },
): string {
  const { bus, number, prefix } = slotParts(slot);
  const { type, format } = kindOf(location);
  const { serial, boot, controller } = options;
  if (serial !== undefined && bus === "virtio" && serial.length > longestVirtioSerial) {
    throw failure("invalid-setting", `the serial ${serial} of ${slot} is too long`, {
      expected: `${longestVirtioSerial} characters at most on virtio, or a slot scsiN`,
    });
  }
  return xml(
    "disk",
    { type, device: "disk" },
    xml("driver", { name: "qemu", type: format, discard: "unmap" }),
    sourceXml(location, access),
    xml("target", { dev: freeTarget(domain, prefix, number), bus }),
    serial === undefined ? undefined : xml("serial", {}, escapedSerial(serial)),
    boot ? xml("boot", { order: 1 }) : undefined,
    xml("alias", { name: `ua-${slot}` }),
    // Left to libvirt, a seventeenth disk would bring another controller.
    controller === undefined
      ? undefined
      : xml("address", { type: "drive", controller, bus: 0, target: 0, unit: number }),
  );
}

/** Parts of a disk key of the language: `scsi0`. */
export function slotParts(slot: string): { readonly bus: string; readonly number: number; readonly prefix: string } {
  const [, bus, number] = /^(scsi|virtio|sata)(\d{1,2})$/.exec(slot) ?? [];
  if (bus === undefined) {
    throw failure("invalid-setting", `found the disk key ${JSON.stringify(slot)}`, {
      expected: "scsi0, virtio0, sata0",
    });
  }
  return { bus, number: Number(number), prefix: bus === "virtio" ? "vd" : "sd" };
}

/** Index of a virtio-scsi controller, which takes hundreds of disks; undefined when the domain has none. */
export function scsiController(domain: XmlElement): number | undefined {
  const found = childrenOf(child(domain, "devices"), "controller").find(
    (each) => attribute(each, "type") === "scsi" && /^virtio-/.test(attribute(each, "model") ?? ""),
  );
  return found && Number(attribute(found, "index"));
}

export function newScsiController(domain: XmlElement): { readonly index: number; readonly text: string } {
  const controllers = childrenOf(child(domain, "devices"), "controller");
  const taken = controllers
    .filter((each) => attribute(each, "type") === "scsi")
    .map((each) => attribute(each, "index"));
  const index = Array.from({ length: taken.length + 1 }, (_, each) => each).find((each) => !taken.includes(`${each}`))!;
  return { index, text: xml("controller", { type: "scsi", index, model: "virtio-scsi" }) };
}

/** QEMU cuts longer ones without a word (VIRTIO_BLK_ID_BYTES). */
const longestVirtioSerial = 20;

/** Libvirt's own rule (virDomainDiskDefParseValidateSerial). */
function escapedSerial(serial: string): string {
  if (/^[A-Za-z0-9_.+ -]+$/.test(serial)) return serial;
  throw failure("invalid-setting", `found the serial ${JSON.stringify(serial)}`, {
    expected: "letters, digits, blanks and _ . + -",
  });
}

function diskElements(domain: XmlElement): readonly XmlElement[] {
  return childrenOf(child(domain, "devices"), "disk").filter((disk) =>
    ["disk", "lun", undefined].includes(attribute(disk, "device")),
  );
}

/** Aliases that begin so are the user's own and kept by libvirt. */
function aliasSlot(disk: XmlElement): string | undefined {
  return /^ua-((?:scsi|virtio|sata)\d{1,2})$/.exec(attribute(child(disk, "alias"), "name") ?? "")?.[1];
}

function slotOfTarget(disk: XmlElement): string | undefined {
  const target = child(disk, "target");
  const letters = /^[shv]d([a-z]+)$/.exec(attribute(target, "dev") ?? "")?.[1];
  const bus = attribute(target, "bus");
  return letters === undefined || bus === undefined ? undefined : `${bus}${letterNumber(letters)}`;
}

/** a, b, … z, aa, ab: 0, 1, … 25, 26, 27. */
function letterNumber(letters: string): number {
  return [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}

function targetLetters(number: number): string {
  const last = String.fromCharCode(97 + (number % 26));
  return number < 26 ? last : targetLetters(Math.floor(number / 26) - 1) + last;
}

/** Two buses share the letters: the slot's own one if it is free. */
function freeTarget(domain: XmlElement, prefix: string, number: number): string {
  const disks = childrenOf(child(domain, "devices"), "disk");
  const taken = new Set(disks.map((disk) => attribute(child(disk, "target"), "dev")));
  for (let each = number; each < number + 1000; each++) {
    if (!taken.has(prefix + targetLetters(each))) return prefix + targetLetters(each);
  }
  throw failure("invalid-setting", `the machine has no letter left for another ${prefix} disk`);
}

function volumeOf(disk: XmlElement): string {
  const source = child(disk, "source");
  const said = (name: string) => attribute(source, name) ?? "";
  switch (attribute(disk, "type")) {
    case "file":
      return said("file");
    case "block":
      return said("dev");
    case "network":
      return `${said("protocol")}:${said("name")}`;
    case "volume":
      return `volume:${said("pool")}/${said("volume")}`;
    default:
      return source
        ? `${attribute(disk, "type")}:${[...source.attributes.values()].map(({ value }) => value).join(",")}`
        : "";
  }
}

function kindOf(location: DiskLocation): { readonly type: string; readonly format: string } {
  if (location.kind === "rbd") return { type: "network", format: "raw" };
  return { type: isBlockDevice(location.path) ? "block" : "file", format: location.format };
}

/** By its place: the hypervisor may be another host, whose files nobody can look at from here. */
const isBlockDevice = (path: string) => path.startsWith("/dev/") && !path.startsWith("/dev/shm/");

function namingAttribute(location: DiskLocation): readonly [string, string] {
  if (location.kind === "rbd") return ["name", `${location.pool}/${location.image}`];
  return [isBlockDevice(location.path) ? "dev" : "file", volumeName(location)];
}

/** Children of a source that tell how to reach it, not what is in it: they hold for the next one too. */
const waysToReach = new Set(["host", "auth", "config", "seclabel", "reservations", "address"]);

function isSameKind(disk: XmlElement, source: XmlElement, location: DiskLocation, access: CephAccess): boolean {
  if (attribute(disk, "type") !== kindOf(location).type) return false;
  if (!source.children.every(({ name }) => waysToReach.has(name))) return false;
  if (location.kind === "file") return true;
  const [pool] = (attribute(source, "name") ?? "").split("/");
  const auth = child(source, "auth");
  const secret = attribute(child(auth, "secret"), "uuid");
  const isSameUser =
    access.secret === undefined || (attribute(auth, "username") === location.user && secret === access.secret);
  return attribute(source, "protocol") === "rbd" && pool === location.pool && isSameUser;
}

function sourceXml(location: DiskLocation, { secret, monitors }: CephAccess): string {
  const [name, value] = namingAttribute(location);
  if (location.kind === "file") return xml("source", { [name]: value });
  assert(/^[^/@\s]+\/[^/@\s]+$/.test(value), "names of pools and images are plain");
  return xml(
    "source",
    { protocol: "rbd", name: value },
    ...monitors.map(({ host, port }) => xml("host", { name: host, port })),
    secret === undefined
      ? undefined
      : xml("auth", { username: location.user }, xml("secret", { type: "ceph", uuid: secret })),
  );
}

const at = (offset: number) => ({ start: offset, end: offset });
