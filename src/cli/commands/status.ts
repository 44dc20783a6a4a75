import { type AuditedMachine, audit, auditTools } from "../../centre/audit.ts";
import { parseJournal } from "../../centre/journal.ts";
import { lookAt } from "../../centre/look.ts";
import { observe } from "../../centre/observe.ts";
import { type CentreStatus, type MachineStatus, type Standing, statusOf } from "../../centre/status.ts";
import { type CentreWork, centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { publishedSystem } from "../known-system.ts";
import { ageWords } from "../words.ts";

export const status: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {
    ...centreOptions,
    updates: { type: "boolean", description: "also count the packages that the locked channel has newer versions of" },
  },
  examples: ["status", "status --updates", "status --json"],
  details:
    "What runs against what is declared: drift, age, verdicts, what is unfinished, foreign or left over. Takes no lease.\n" +
    "Ends with 0 when every machine runs as declared, with 1 otherwise.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const { centre, pool, hypervisor } = work;
      const [observation, journal] = await Promise.all([observe(pool, hypervisor, centre.desired), pool.journal()]);
      const pendingUpdates = context.options.updates ? await countUpdates(work, observation) : undefined;
      const found = statusOf(centre.desired, observation, {
        now: Date.now() / 1000,
        journal: parseJournal(journal),
        ...(pendingUpdates && { pendingUpdates }),
      });
      if (context.json) context.print(JSON.stringify(found, undefined, 2));
      else printStatus(context, found);
      return found.machines.every(({ standing }) => standing === "as-declared") ? exitCodes.success : exitCodes.failure;
    }),
};

async function countUpdates(
  work: CentreWork,
  observation: Awaited<ReturnType<typeof observe>>,
): Promise<ReadonlyMap<string, number>> {
  const machines: AuditedMachine[] = [];
  for (const machine of work.centre.desired.machines) {
    const hash = lookAt(observation, machine).current?.about.system?.systemHash;
    const system = hash === undefined ? undefined : await publishedSystem(work, hash);
    if (system) machines.push({ machine: machine.path, system });
  }
  const audited = await audit(machines, auditTools(work.session, "pinned"));
  return new Map(audited.machines.map(({ machine, updates }) => [machine, updates.length]));
}

const standings: Readonly<Record<Standing, string>> = {
  "as-declared": "as declared",
  drifted: "drifted",
  absent: "absent",
  foreign: "foreign",
  down: "down",
  unfinished: "unfinished",
};

function printStatus({ print }: CommandContext, found: CentreStatus): void {
  const width = Math.max(7, ...found.machines.map(({ path }) => path.length));
  print(`${"machine".padEnd(width)}  ${"standing".padEnd(11)}  ${"power".padEnd(8)}  ${"age".padEnd(12)}  root`);
  for (const machine of found.machines) {
    const { path, standing, power = "—", root = "—", ageSeconds } = machine;
    const age = ageSeconds === undefined ? "—" : ageWords(ageSeconds);
    const line = `${path.padEnd(width)}  ${standings[standing].padEnd(11)}  ${power.padEnd(8)}  ${age.padEnd(12)}  ${root}`;
    print(line);
    for (const note of notesOf(machine)) print(`${" ".repeat(width)}  ${note}`);
  }
  for (const { name, root, machine } of found.undeclared) print(`undeclared: ${name} runs ${root}, of ${machine}`);
  if (found.leftovers.length > 0) print(`left over in the pool: ${found.leftovers.join(", ")}`);
  if (found.lease) print(`working now: ${found.lease.holder}, ${found.lease.purpose}`);
  if (found.last) {
    const { by, at, result } = found.last;
    const ended = result === undefined ? "has not ended" : `ended: ${result.replaceAll("-", " ")}`;
    print(`last change ${ageWords(Date.now() / 1000 - at)} ago by ${by}, ${ended}`);
  }
}

function notesOf(machine: MachineStatus): string[] {
  const { system, isUnverified, forced, staged, pendingUpdates, declaredSystem, standing, notes } = machine;
  return [
    ...(standing === "drifted" && system
      ? [`runs ${system.systemHash.slice(0, 8)}, declared ${declaredSystem.slice(0, 8)}: meso plan`]
      : []),
    ...(forced !== undefined
      ? [`promoted by force: ${forced}`]
      : isUnverified
        ? ["its root has no passing verdict"]
        : []),
    ...(staged === undefined ? [] : [`${staged} is promoted and waits: meso deploy`]),
    ...(pendingUpdates ? [`${pendingUpdates} updates are waiting: meso audit`] : []),
    ...notes,
  ];
}
