import { failure, MesoError, type Problem } from "../../base/error.ts";
import type { HypervisorNeeds } from "../hypervisor.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { each } from "./turns.ts";

/** All that is missing for what is to be done, at once and before anything is begun. */
export async function checkAccess(cluster: Cluster, needs: HypervisorNeeds): Promise<readonly Problem[]> {
  try {
    const { version } = await cluster.api.call("GET /version", {});
    const major = Number(/^\d+/.exec(version)?.[0] ?? 0);
    const old = major < 8 ? [tooOld(version)] : [];
    const [lacking, storages] = await Promise.all([
      missingPrivileges(cluster, needs, major),
      missingStorages(cluster, needs.storages),
    ]);
    return [...old, ...lacking, ...storages];
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    return error.problems;
  }
}

/** Whether the token may see any machine. An empty list says nothing: without privilege it is empty, too. */
export async function seesAnyMachine(cluster: Cluster): Promise<boolean> {
  const permissions = await cluster.api.call("GET /access/permissions", {});
  return Object.values(permissions).some((held) => "VM.Audit" in (held as object));
}

function tooOld(version: string): Problem {
  return { code: "invalid-setting", what: `the cluster runs Proxmox VE ${version}`, expected: "8 or newer" };
}

/** Renamed and split up in 9; each release refuses roles that name the other's. */
const agentPrivilege = (major: number) => (major >= 9 ? "VM.GuestAgent.Unrestricted" : "VM.Monitor");

/** Privileges on a machine (docs/proxmox.md has the roles). */
function machinePrivileges(major: number, defines: boolean): readonly string[] {
  return [
    ...["VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "VM.Config.Options", agentPrivilege(major)],
    ...(defines ? ["VM.Allocate", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType"] : []),
  ];
}

async function missingPrivileges(cluster: Cluster, needs: HypervisorNeeds, major: number): Promise<Problem[]> {
  const wanted = [
    ...needs.machines.flatMap(({ vmid }) =>
      vmid === undefined ? [] : [{ path: `/vms/${vmid}`, privileges: machinePrivileges(major, needs.defines) }],
    ),
    ...needs.storages.map((storage) => ({ path: `/storage/${storage}`, privileges: ["Datastore.Audit"] })),
  ];
  // Asked path by path: only the server knows what groups, pools and roles add up to.
  const lacking = await each(wanted, 8, async ({ path, privileges }) => {
    const answer = await cluster.api.call("GET /access/permissions", {}, { path });
    const held = (answer[path] ?? {}) as Readonly<Record<string, unknown>>;
    return { path, missing: privileges.filter((privilege) => !held[privilege]) };
  });
  const pathsBy = new Map<string, string[]>();
  for (const { path, missing } of lacking) {
    if (missing.length === 0) continue;
    const key = missing.join(", ");
    pathsBy.set(key, [...(pathsBy.get(key) ?? []), path]);
  }
  if (pathsBy.size === 0) return [];
  const lines = [...pathsBy].map(([privileges, paths]) => `${privileges} on ${shortened(paths)}`);
  const what = `the token lacks ${lines.join("; ")}`;
  const hint = "a token made with privilege separation has only what is given to itself: docs/proxmox.md";
  return [{ code: "forbidden", what, hint }];
}

function shortened(paths: readonly string[]): string {
  const shown = paths.slice(0, 5).join(", ");
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown;
}

async function missingStorages(cluster: Cluster, storages: readonly string[]): Promise<Problem[]> {
  const [node] = await cluster.nodes();
  if (node === undefined) {
    return failure("hypervisor-unreachable", `no node of ${cluster.api.title} is up`).problems as Problem[];
  }
  const problems = await each(storages, 4, async (storage) => {
    try {
      await cluster.checkStorage(node, storage);
      return [];
    } catch (error) {
      if (isCode(error, "invalid-setting", "forbidden")) return error.problems;
      throw error;
    }
  });
  return problems.flat();
}
