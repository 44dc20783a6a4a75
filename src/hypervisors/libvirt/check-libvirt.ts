import { MesoError, type Problem } from "../../base/error.ts";
import type { HypervisorNeeds } from "../hypervisor.ts";
import { findProgram } from "../qemu-program.ts";
import { checkedName } from "./domain.ts";
import { missing, type Virsh } from "./virsh.ts";
import { attribute, child, parseXml } from "./xml.ts";

/** Everything that is missing, all at once: programs, connection and rights, version, the Ceph user's secret, names. */
export async function checkLibvirt(
  virsh: Virsh,
  cephSecret: string | undefined,
  { machines }: HypervisorNeeds,
): Promise<readonly Problem[]> {
  if (findProgram("virsh") === undefined) return missing().problems;
  const version = await told(() => virsh.run(["version", "--daemon"], { seconds: 30 }));
  if (typeof version !== "string") return version;
  const problems = [...oldVersion(version, virsh.uri)];
  if (cephSecret !== undefined) problems.push(...(await secretProblems(virsh, cephSecret)));
  for (const { name } of machines) {
    const accepted = await told(async () => checkedName(name));
    if (typeof accepted !== "string") problems.push(...accepted);
  }
  return problems;
}

/** What the answer is, or why there is none. */
async function told(ask: () => Promise<string>): Promise<string | readonly Problem[]> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof MesoError) return error.problems;
    throw error;
  }
}

/** Debian 12 brings 9.0, Ubuntu 22.04 8.0; older ones are not tried. */
const oldestVersion = 8;

/** Of virsh here, and of the daemon there. */
function oldVersion(text: string, uri: string): Problem[] {
  const tools = { virsh: /^Using library: libvirt (\d+)\./m, "the daemon": /^Running against daemon: (\d+)\./m };
  return Object.entries(tools).flatMap(([name, pattern]) => {
    const found = pattern.exec(text)?.[1];
    if (Number(found ?? 0) >= oldestVersion) return [];
    const what = `${name} of libvirt at ${uri} is of version ${found ?? "unknown"}`;
    return [{ code: "invalid-setting", what, expected: `libvirt ${oldestVersion}.0 or newer` }];
  });
}

/** That it is there and for Ceph; its value is nobody's business, not even ours. */
async function secretProblems(virsh: Virsh, uuid: string): Promise<readonly Problem[]> {
  const text = await told(() => virsh.run(["secret-dumpxml", uuid]));
  const hint = "virsh secret-define, then secret-set-value with the key as base64 (docs/libvirt.md)";
  if (typeof text !== "string") return text.map((problem) => ({ ...problem, hint }));
  const type = attribute(child(parseXml(text.trim()), "usage"), "type");
  if (type === "ceph") return [];
  return [{ code: "invalid-setting", what: `the secret ${uuid} is for ${type ?? "nothing"}`, expected: "ceph", hint }];
}
