import { homedir } from "node:os";
import { join } from "node:path";
import type { Credentials, MachineId } from "../hypervisor.ts";
import { firmwareName } from "../machine-credentials.ts";
import { existingDomain } from "./power.ts";
import type { Virsh } from "./virsh.ts";
import { attribute, child, childrenOf, type Edit, edited, parseXml, type XmlElement, xml } from "./xml.ts";

/**
 * Whether libvirt can keep values for the machines of this address: where its own daemon lies is known, but for somebody's
 * session on another host.
 */
export function keepsCredentials(uri: string): boolean {
  return folderOf(uri) !== undefined;
}

/**
 * See `HypervisorDriver.giveCredentials`. Values lie in files that libvirt makes itself, so that it works over ssh and
 * without root; the domain's description names the files, and libvirt lets QEMU read them.
 */
export async function giveCredentials(
  virsh: Virsh,
  id: MachineId,
  credentials: Credentials,
  { keepsOthers = false } = {},
): Promise<void> {
  const domain = await existingDomain(virsh, id);
  const before = credentialNames(domain.root);
  if (credentials.size === 0 && (keepsOthers || before.length === 0)) return;
  await makePool(virsh);
  const there = await volumes(virsh);
  for (const [name, value] of credentials) await writeVolume(virsh, volumeName(id, name), value, there);
  const kept = keepsOthers ? before : before.filter((name) => credentials.has(name));
  const names = [...new Set([...kept, ...credentials.keys()])].sort();
  const text = await virsh.run(["dumpxml", id.name, "--inactive", "--security-info"]);
  const input = withCredentials(
    text,
    names.map((name) => ({ name, file: join(folderOf(virsh.uri)!, volumeName(id, name)) })),
  );
  if (input !== text) await virsh.run(["define", "/dev/stdin"], { input, changes: true });
  const gone = before.filter((name) => !names.includes(name)).map((name) => volumeName(id, name));
  await deleteVolumes(virsh, gone, there);
}

/** Of a machine that is about to be forgotten. */
export async function removeCredentials(virsh: Virsh, id: MachineId, root: XmlElement): Promise<void> {
  const names = credentialNames(root).map((name) => volumeName(id, name));
  if (names.length === 0) return;
  await makePool(virsh);
  await deleteVolumes(virsh, names, await volumes(virsh));
}

const prefix = firmwareName("x").slice(0, -1);

function credentialNames(root: XmlElement): string[] {
  return entriesOf(root).flatMap((entry) => {
    const name = attribute(entry, "name");
    return name?.startsWith(prefix) ? [name.slice(prefix.length)] : [];
  });
}

function entriesOf(root: XmlElement): readonly XmlElement[] {
  return childrenOf(firmwareConfiguration(root), "entry");
}

/** Libvirt's "Firmware configuration" in formatdomain: one such element at most, with entries of other people too. */
function firmwareConfiguration(root: XmlElement): XmlElement | undefined {
  return childrenOf(root, "sysinfo").find((element) => attribute(element, "type") === "fwcfg");
}

/** The description with these credentials and no others; everything else stays byte for byte. */
export function withCredentials(
  text: string,
  credentials: readonly { readonly name: string; readonly file: string }[],
): string {
  const root = parseXml(text);
  const found = firmwareConfiguration(root);
  const wanted = credentials.map(({ name, file }) => ({ name: firmwareName(name), file }));
  const ours = entriesOf(root).filter((entry) => attribute(entry, "name")?.startsWith(prefix));
  const isSame =
    ours.length === wanted.length &&
    wanted.every(({ name, file }) =>
      ours.some((entry) => attribute(entry, "name") === name && attribute(entry, "file") === file),
    );
  if (isSame) return text;
  const others = entriesOf(root).filter((entry) => !ours.includes(entry));
  const entries = [
    ...others.map(({ start, end }) => text.slice(start, end)),
    ...wanted.map((entry) => xml("entry", entry)),
  ];
  const by = entries.length === 0 ? "" : xml("sysinfo", { type: "fwcfg" }, ...entries);
  const { end } = child(root, "name")!;
  const edit: Edit = found ? { start: found.start, end: found.end, by } : { start: end, end, by };
  return edited(text, [edit]);
}

const poolName = "meso-credentials";

/** On libvirt's host. QEMU, as whoever it runs, must get through it to its file. */
function folderOf(uri: string): string | undefined {
  const { pathname, host } = new URL(uri);
  if (pathname === "/system") return `/var/lib/libvirt/${poolName}`;
  if (host !== "") return undefined;
  return join(process.env.XDG_DATA_HOME ?? join(homedir(), ".local/share"), "libvirt", poolName);
}

function volumeName({ name }: MachineId, credential: string): string {
  return `${name}.${credential}`;
}

async function makePool(virsh: Virsh): Promise<void> {
  const names = async (...flags: string[]) =>
    (await virsh.run(["pool-list", "--name", ...flags])).split("\n").map((line) => line.trim());
  if ((await names()).includes(poolName)) return;
  if (!(await names("--all")).includes(poolName)) {
    const target = xml(
      "target",
      {},
      xml("path", {}, folderOf(virsh.uri)!),
      xml("permissions", {}, xml("mode", {}, "0711")),
    );
    const input = xml("pool", { type: "dir" }, xml("name", {}, poolName), target);
    await virsh.run(["pool-define", "/dev/stdin"], { input, changes: true });
  }
  await virsh.run(["pool-build", poolName], { changes: true });
  await virsh.run(["pool-start", poolName], { changes: true });
  await virsh.run(["pool-autostart", poolName], { changes: true });
}

async function volumes(virsh: Virsh): Promise<ReadonlySet<string>> {
  const lines = (await virsh.run(["vol-list", "--pool", poolName])).split("\n");
  return new Set(lines.flatMap((line) => /^\s*(\S.*?)\s+\/\S/.exec(line)?.[1] ?? []));
}

async function writeVolume(virsh: Virsh, name: string, value: string, there: ReadonlySet<string>): Promise<void> {
  await deleteVolumes(virsh, [name], there);
  const input = xml(
    "volume",
    {},
    xml("name", {}, name),
    xml("capacity", { unit: "bytes" }, String(Buffer.byteLength(value))),
    xml("target", {}, xml("format", { type: "raw" }), xml("permissions", {}, xml("mode", {}, "0600"))),
  );
  await virsh.run(["vol-create", "--pool", poolName, "--file", "/dev/stdin"], { input, changes: true });
  const upload = ["vol-upload", "--pool", poolName, "--vol", name, "--file", "/dev/stdin"];
  await virsh.run(upload, { input: value, changes: true });
}

async function deleteVolumes(virsh: Virsh, names: readonly string[], there: ReadonlySet<string>): Promise<void> {
  for (const name of names) {
    if (there.has(name)) await virsh.run(["vol-delete", "--pool", poolName, "--vol", name], { changes: true });
  }
}
