import { failure } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import type { MachineSpec } from "../hypervisor.ts";
import { attribute, child, childrenOf, type Edit, edited, escapeXml, parseXml, type XmlElement, xml } from "./xml.ts";

/** `kvm`: on the processor itself; `qemu`: emulated. */
export type DomainType = "kvm" | "qemu";

/** Libvirt's words for an architecture of Debian. @throws MesoError `invalid-setting`. */
export function libvirtArchitecture(architecture: string): { readonly arch: string; readonly machine: string } {
  const found = architectures[architecture];
  if (found) return found;
  throw failure("invalid-setting", `machines of ${architecture} cannot be defined on libvirt`, {
    expected: Object.keys(architectures).join(", "),
  });
}

const architectures: Readonly<Record<string, { readonly arch: string; readonly machine: string }>> = {
  amd64: { arch: "x86_64", machine: "q35" },
  arm64: { arch: "aarch64", machine: "virt" },
  riscv64: { arch: "riscv64", machine: "virt" },
};

/** In whose `<metadata>` we write; libvirt keeps one element for each. */
const ourNamespace = "urn:mesoforge:libvirt:1";

/** The description of a domain without disks, for `virsh define`. */
export function newDomain(spec: MachineSpec, type: DomainType): string {
  const { arch, machine } = libvirtArchitecture(spec.architecture);
  const isPc = spec.architecture === "amd64";
  return xml(
    "domain",
    { type },
    xml("name", {}, escapeXml(spec.id.name)),
    xml("uuid", {}, uuidOf(spec.id.name)),
    xml("description", {}, escapeXml(spec.description)),
    xml("metadata", {}, provenance(spec)),
    xml("memory", { unit: "MiB" }, String(spec.memoryMebibytes)),
    xml("vcpu", {}, String(spec.cores)),
    operatingSystem(spec, arch, machine),
    // Without ACPI nobody hears the power button.
    xml("features", {}, xml("acpi", {}), isPc ? xml("apic", {}) : undefined),
    processor(type, isPc),
    xml("clock", { offset: "utc" }),
    ...[xml("on_poweroff", {}, "destroy"), xml("on_reboot", {}, "restart"), xml("on_crash", {}, "destroy")],
    xml(
      "devices",
      {},
      xml("controller", { type: "scsi", index: 0, model: "virtio-scsi" }),
      ...spec.nics.map((nic) => interfaceXml(nic)),
      xml("serial", { type: "pty" }),
      xml("console", { type: "pty" }, xml("target", { type: "serial", port: 0 })),
      xml("channel", { type: "unix" }, xml("target", { type: "virtio", name: "org.qemu.guest_agent.0" })),
      xml("rng", { model: "virtio" }, xml("backend", { model: "random" }, "/dev/urandom")),
      // Nobody can look at it from outside, but screenshots can be taken of it.
      isPc ? xml("video", {}, xml("model", { type: "vga" })) : undefined,
    ),
  );
}

/**
 * An existing domain's description with the wanted cores, memory, network cards and words. What is right already, and
 * everything that a definition says nothing of, stays byte for byte.
 *
 * @throws MesoError `invalid-setting` for what a machine cannot become.
 */
export function updatedDomain(text: string, spec: MachineSpec): string {
  const root = parseXml(text);
  refuseOtherHardware(root, spec);
  return edited(text, [
    ...memoryEdits(root, spec.memoryMebibytes * 1024),
    ...coreEdits(root, spec.cores),
    ...descriptionEdits(root, spec),
    ...provenanceEdits(root, spec),
    ...interfaceEdits(text, root, spec.nics),
  ]);
}

/** The same on every host, so that two who define the same machine at once do not make two. */
function uuidOf(name: string): string {
  const digits = [...sha256(`mesoforge machine on libvirt: ${name}`).slice(0, 32)];
  // RFC 9562: version 8 (own making), variant 10.
  digits[12] = "8";
  digits[16] = "89ab"[Number.parseInt(digits[16]!, 16) % 4]!;
  return digits.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function provenance({ id, description }: MachineSpec): string {
  return xml("mesoforge:machine", { "xmlns:mesoforge": ourNamespace, name: id.name }, escapeXml(description));
}

function operatingSystem({ firmware }: MachineSpec, arch: string, machine: string): string {
  const type = xml("type", { arch, machine }, "hvm");
  if (firmware === "bios") return xml("os", {}, type);
  // Libvirt chooses among the firmware that its host has; what we build is not signed by anybody's keys.
  const off = (name: string) => xml("feature", { enabled: "no", name });
  return xml("os", { firmware: "efi" }, type, xml("firmware", {}, off("enrolled-keys"), off("secure-boot")));
}

function processor(type: DomainType, isPc: boolean): string {
  if (type === "kvm") return xml("cpu", { mode: "host-passthrough", migratable: "on" });
  // Page tables of five levels only slow an emulated machine down.
  const slow = isPc ? xml("feature", { policy: "disable", name: "la57" }) : undefined;
  return xml("cpu", { mode: "maximum" }, slow);
}

function refuseOtherHardware(root: XmlElement, spec: MachineSpec): void {
  const os = child(root, "os");
  const arch = attribute(child(os, "type"), "arch");
  const isUefi = attribute(os, "firmware") === "efi" || attribute(child(os, "loader"), "type") === "pflash";
  const found = isUefi ? "uefi" : "bios";
  const refuse = (what: string, expected: string) =>
    failure("invalid-setting", `${spec.id.name} exists on libvirt with ${what}`, {
      expected,
      hint: "remove the machine first (its disks stay), then deploy again",
    });
  if (arch !== libvirtArchitecture(spec.architecture).arch) throw refuse(`processors of ${arch}`, spec.architecture);
  if (found !== spec.firmware) throw refuse(`the firmware ${found}`, spec.firmware);
}

const kibibytes: Readonly<Record<string, number>> = { KiB: 1, MiB: 1024, GiB: 1024 ** 2 };

function memoryEdits(root: XmlElement, wanted: number): Edit[] {
  const memory = child(root, "memory");
  const unit = kibibytes[attribute(memory, "unit") ?? "KiB"];
  if (!memory || Number(memory.text) * (unit ?? Number.NaN) === wanted) return [];
  // What the balloon was told of the old size says nothing about the new one.
  return childrenOf(root, "currentMemory")
    .concat(memory)
    .map((element) => replaced(element, xml(element.name, { unit: "KiB" }, String(wanted))));
}

function coreEdits(root: XmlElement, wanted: number): Edit[] {
  const vcpu = child(root, "vcpu");
  if (!vcpu || Number(vcpu.text) === wanted) return [];
  const { value: placement } = vcpu.attributes.get("placement") ?? { value: undefined };
  const { value: cpuset } = vcpu.attributes.get("cpuset") ?? { value: undefined };
  return [replaced(vcpu, xml("vcpu", { placement, cpuset }, String(wanted)))];
}

function descriptionEdits(root: XmlElement, { description }: MachineSpec): Edit[] {
  const found = child(root, "description");
  if (found?.text === description) return [];
  const text = xml("description", {}, escapeXml(description));
  return [found ? replaced(found, text) : behindName(root, text)];
}

function provenanceEdits(root: XmlElement, spec: MachineSpec): Edit[] {
  const metadata = child(root, "metadata");
  const ours = metadata?.children.find((each) =>
    [...each.attributes.values()].some(({ value }) => value === ourNamespace),
  );
  if (ours && ours.text === spec.description && attribute(ours, "name") === spec.id.name) return [];
  if (ours) return [replaced(ours, provenance(spec))];
  if (!metadata || metadata.innerStart === metadata.end) {
    const whole = xml("metadata", {}, provenance(spec));
    return [metadata ? replaced(metadata, whole) : behindName(root, whole)];
  }
  return [{ start: metadata.innerEnd, end: metadata.innerEnd, by: provenance(spec) }];
}

type Nic = MachineSpec["nics"][number];

function interfaceXml(nic: Nic, kept: readonly string[] = []): string {
  const isUser = nic.network === "user";
  return xml(
    "interface",
    { type: isUser ? "user" : "network" },
    xml("mac", { address: nic.mac.toLowerCase() }),
    isUser ? undefined : xml("source", { network: nic.network }),
    xml("model", { type: "virtio" }),
    nic.tag === undefined ? undefined : xml("vlan", {}, xml("tag", { id: nic.tag })),
    ...kept,
  );
}

/** Cards are told apart by their addresses. */
function interfaceEdits(text: string, root: XmlElement, nics: readonly Nic[]): Edit[] {
  const devices = child(root, "devices");
  const macOf = (element: XmlElement) => attribute(child(element, "mac"), "address")?.toLowerCase();
  const there = childrenOf(devices, "interface");
  const edits = there.flatMap((element): Edit[] => {
    const nic = nics.find(({ mac }) => mac.toLowerCase() === macOf(element));
    if (!nic) return [replaced(element, "")];
    if (isPluggedAs(element, nic)) return [];
    // In its place on the bus it keeps its name inside the machine.
    const kept = [...childrenOf(element, "alias"), ...childrenOf(element, "address")];
    return [
      replaced(
        element,
        interfaceXml(
          nic,
          kept.map(({ start, end }) => text.slice(start, end)),
        ),
      ),
    ];
  });
  const missing = nics.filter(({ mac }) => !there.some((element) => macOf(element) === mac.toLowerCase()));
  const end = devices!.innerEnd;
  return missing.length === 0
    ? edits
    : [...edits, { start: end, end, by: missing.map((nic) => interfaceXml(nic)).join("") }];
}

/** A bridge that somebody plugged it into directly is as good as a network of that name. */
function isPluggedAs(element: XmlElement, { network, tag }: Nic): boolean {
  const type = attribute(element, "type");
  const source = child(element, "source");
  const plug = type === "user" ? "user" : attribute(source, type === "bridge" ? "bridge" : "network");
  const tags = childrenOf(child(element, "vlan"), "tag").map((each) => Number(attribute(each, "id")));
  return plug === network && tags.length === (tag === undefined ? 0 : 1) && tags[0] === tag;
}

const replaced = ({ start, end }: XmlElement, by: string): Edit => ({ start, end, by });

function behindName(root: XmlElement, by: string): Edit {
  const { end } = child(root, "name")!;
  return { start: end, end, by };
}
