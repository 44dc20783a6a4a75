import { type AuditedMachine, audit, auditTools } from "../../centre/audit.ts";
import { auditCve } from "../../centre/audit-cve.ts";
import { lookAt } from "../../centre/look.ts";
import { observe } from "../../centre/observe.ts";
import { renderAudit, renderCveAudit } from "../../centre/render-audit.ts";
import { type CentreWork, centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, exitCodes } from "../command.ts";
import { publishedSystem } from "../known-system.ts";

export const auditCommand: Command = {
  positionals: "[CVE]",
  minimumPositionals: 0,
  maximumPositionals: 1,
  options: {
    ...centreOptions,
    now: { type: "boolean", description: "compare with what the archives offer now, not with what the lock pins" },
  },
  examples: ["audit", "audit --now", "audit CVE-2023-41915"],
  details:
    "Compares what machines run with what their channels hold, by Debian's source packages and changelogs. Moves no lock,\n" +
    "and ends with the command that plans the machines anew. Ends with 1 when security fixes are waiting, or a machine\n" +
    "is affected.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const when = context.options.now ? "now" : "pinned";
      const tools = auditTools(work.session, when);
      const { machines, unknown } = await runningSystems(work);
      const [cve] = context.positionals;
      const result = cve === undefined ? await audit(machines, tools) : await auditCve(cve, machines, tools);
      if (context.json) context.print(JSON.stringify({ ...result, unknown }, undefined, 2));
      else {
        const lines = "cve" in result ? renderCveAudit(result, when) : renderAudit(result, when);
        for (const line of lines) context.print(line);
        for (const { path, why } of unknown) context.print(`? ${path}  ${why}`);
      }
      const isBad =
        "cve" in result
          ? result.machines.some(({ status }) => status === "affected")
          : result.machines.some(({ updates }) => updates.some(({ isSecurity }) => isSecurity));
      return isBad ? exitCodes.failure : exitCodes.success;
    }),
};

/** The systems of the machines that run a root of ours, and why nothing can be said of the others. */
async function runningSystems(work: CentreWork) {
  const observation = await observe(work.pool, work.hypervisor, work.centre.desired);
  const machines: AuditedMachine[] = [];
  const unknown: { path: string; why: string }[] = [];
  for (const machine of work.centre.desired.machines) {
    const { path } = machine;
    const hash = lookAt(observation, machine).current?.about.system?.systemHash;
    const system = hash === undefined ? undefined : await publishedSystem(work, hash);
    if (system) machines.push({ machine: path, system });
    else unknown.push({ path, why: hash === undefined ? "runs no root of ours" : "nobody has described its system" });
  }
  return { machines, unknown };
}
