import { failure } from "../../base/error.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import type { MachineId } from "../hypervisor.ts";
import { cephMonitors } from "./ceph-monitors.ts";
import { type Domain, versionOf } from "./domain.ts";
import {
  type CephAccess,
  type DomainDisk,
  newDisk,
  newScsiController,
  scsiController,
  slotParts,
  volumeName,
  withSource,
} from "./domain-disks.ts";
import { existingDomain } from "./power.ts";
import type { Virsh } from "./virsh.ts";
import { attribute, child, childrenOf, type Edit, edited, parseXml, type XmlElement } from "./xml.ts";

export interface Attachment {
  readonly slot: string;
  readonly disk: DiskLocation;
  /** The version that the caller has seen. */
  readonly expected: string;
  readonly cephSecret?: string | undefined;
  readonly serial?: string;
  readonly boot?: boolean;
}

/** See `HypervisorDriver.attach`; the caller holds the lock. Gives the new version. */
export async function attachDisk(virsh: Virsh, id: MachineId, attachment: Attachment): Promise<string> {
  const { slot, disk, expected } = attachment;
  const domain = await existingDomain(virsh, id);
  const access: CephAccess = {
    secret: attachment.cephSecret,
    monitors: disk.kind === "rbd" ? cephMonitors(disk.configuration) : [],
  };
  const found = domain.disks.find((each) => each.slot === slot);
  const wanted = found && withSource(domain.text, found.element, disk, access);
  // Of a running machine, what waits for the next start is not what it has.
  const isStaged = domain.state.staged.has(slot);
  const isThere = found && wanted === domain.text.slice(found.element.start, found.element.end);
  if (isThere && !isStaged) return domain.state.version;
  if (domain.state.version !== expected) throw conflict(id, "has changed since it was looked at");
  refuseBusy(domain);
  if (wanted === undefined) await addDisk(virsh, domain, attachment, access);
  else {
    // Libvirt exchanges this one disk: whatever another does to other parts at this moment is not lost.
    const command = ["update-device", id.name, "/dev/stdin", "--config"];
    await virsh.run(command, { input: wanted, changes: true });
  }
  return verified(await existingDomain(virsh, id), domain, found, attachment);
}

function refuseBusy({ state, isGone, stateWords }: Domain): void {
  if (!isGone) {
    throw failure("busy-retry", `${state.id.name} is ${stateWords}: its disks are changed while it is off`);
  }
  if (state.busy !== undefined) throw failure("machine-locked", `${state.id.name}: ${state.busy}`);
}

/** One definition brings disk, controller and boot order: there is no moment with one and not the other. */
async function addDisk(virsh: Virsh, domain: Domain, attachment: Attachment, access: CephAccess): Promise<void> {
  const { id } = domain.state;
  // The passwords of displays are shown only on request, and forgotten when they are not given back.
  const [plain, whole] = await virsh.readAll([
    ["dumpxml", id.name, "--inactive"],
    ["dumpxml", id.name, "--inactive", "--security-info"],
  ]);
  if ("error" in plain!) throw plain.error;
  if ("error" in whole!) throw whole.error;
  if (versionOf(plain!.text.trim()) !== attachment.expected) throw conflict(id, "changes at this moment");
  const text = whole!.text.trim();
  const input = edited(text, newDiskEdits(parseXml(text), attachment, access));
  await virsh.run(["define", "/dev/stdin"], { input, changes: true });
}

function newDiskEdits(root: XmlElement, attachment: Attachment, access: CephAccess): Edit[] {
  const { slot, disk, serial, boot } = attachment;
  const end = child(root, "devices")!.innerEnd;
  if (slotParts(slot).bus !== "scsi") {
    const by = newDisk(root, slot, disk, access, { serial, boot });
    return [{ start: end, end, by }, ...(boot ? bootEdits(root, slot) : [])];
  }
  const index = scsiController(root);
  const added = index === undefined ? newScsiController(root) : undefined;
  const by = newDisk(root, slot, disk, access, { serial, boot, controller: index ?? added!.index });
  return [{ start: end, end, by: (added?.text ?? "") + by }, ...(boot ? bootEdits(root, slot) : [])];
}

/** Libvirt writes "from the hard disk" into every definition without a boot order; it takes no order beside it. */
function bootEdits(root: XmlElement, slot: string): Edit[] {
  const boots = childrenOf(child(root, "os"), "boot");
  if (boots.some((boot) => attribute(boot, "dev") !== "hd")) {
    const devices = boots.map((boot) => attribute(boot, "dev")).join(", ");
    throw failure("invalid-setting", `the machine starts from ${devices} by its <os>, so ${slot} cannot be put first`, {
      hint: "virsh edit: remove <boot dev=…/> from <os>",
    });
  }
  return boots.map(({ start, end }) => ({ start, end, by: "" }));
}

/** What libvirt made of it. Another's change that came between comparing and changing shows here at the latest. */
function verified(now: Domain, before: Domain, replaced: DomainDisk | undefined, attachment: Attachment): string {
  const { id } = now.state;
  const { slot, disk } = attachment;
  const found = now.disks.find((each) => each.slot === slot);
  if (!now.isGone) throw conflict(id, "was started by somebody else at the same moment");
  if (!found || found.volume !== volumeName(disk)) throw conflict(id, `does not hold ${volumeName(disk)} in ${slot}`);
  if (replaced && around(now.text, found.element) !== around(before.text, replaced.element)) {
    throw conflict(id, "was changed by somebody else at the same moment");
  }
  return now.state.version;
}

function around(text: string, { start, end }: XmlElement): string {
  return text.slice(0, start) + text.slice(end);
}

function conflict(id: MachineId, what: string) {
  return failure("conflict", `the configuration of ${id.name} ${what}`, { hint: "plan again" });
}
