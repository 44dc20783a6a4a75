import { formatBytes, formatSeconds } from "../base/progress.ts";
import type { WriteEstimate } from "../centre/estimate-bytes.ts";
import type { MachineAction, MachinePlan, Plan, RootSummary } from "../centre/plan.ts";

/** What differs between what a machine runs and what it will run, as lines; by path. */
export type RenderedDifferences = ReadonlyMap<string, readonly string[]>;

/** A plan as a person reads it: what happens to each machine, why, what it waits for, what changes inside. */
export function renderPlan(
  plan: Plan,
  differences: RenderedDifferences,
  { verbose, estimate }: { readonly verbose: boolean; readonly estimate?: WriteEstimate },
): string[] {
  const quiet = plan.machines.filter(isQuiet);
  const busy = plan.machines.filter((machine) => !isQuiet(machine));
  const order = plan.waves.flatMap(({ machines }) => machines);
  const rank = ({ path }: MachinePlan): number => (order.includes(path) ? order.indexOf(path) : -1);
  const groups = sameDifferences(
    [...busy].sort((a, b) => rank(a) - rank(b)),
    differences,
  );
  return [
    ...groups.flatMap((machines) => [
      ...machines.flatMap((machine) => machineLines(machine, verbose)),
      ...indented(differences.get(machines[0]!.path) ?? []),
      "",
    ]),
    ...(quiet.length > 0
      ? [`= ${quiet.length === 1 ? "1 machine is" : `${quiet.length} machines are`} as declared`]
      : []),
    ...(estimate && estimate.images > 0 ? [writes(estimate)] : []),
    summary(plan),
  ];
}

const marks: Readonly<Record<MachineAction, string>> = {
  none: "=",
  create: "+",
  swap: "~",
  reshape: "~",
  start: "^",
  finish: ">",
  "take-back": "<",
  "roll-back": "<",
  prepare: "*",
  foreign: "!",
  blocked: "!",
};

const actions: Readonly<Record<MachineAction, string>> = {
  none: "as declared",
  create: "will be made",
  swap: "gets a new root",
  reshape: "gets another shape",
  start: "will be started",
  finish: "its unfinished swap will be ended",
  "take-back": "its unfinished way back will be ended",
  "roll-back": "goes back to an older root",
  prepare: "gets an image; the machine is not touched",
  foreign: "is not ours: nothing is done",
  blocked: "is blocked: nothing is done",
};

function isQuiet({ action, remarks }: MachinePlan): boolean {
  return action === "none" && remarks.length === 0;
}

function machineLines(machine: MachinePlan, verbose: boolean): string[] {
  const { path, action, from, to, reasons, waits, remarks, steps, volumes, outageSeconds } = machine;
  const outage = outageSeconds > 0 ? `, away for about ${formatSeconds(outageSeconds)}` : "";
  const touched = volumes.filter(
    ({ isNew, snapshot, restored }) => isNew || snapshot !== undefined || restored !== undefined,
  );
  return [
    `${marks[action]} ${path}  ${actions[action]}${rootChange(from, to)}${outage}`,
    ...reasons.map((reason) => `    because ${reason}`),
    ...waits.map((wait) => `    waits ${wait}`),
    ...touched.map(
      ({ name, isNew, snapshot, restored }) => `    volume ${name}: ${volumeFate(isNew, snapshot, restored)}`,
    ),
    ...remarks.map((remark) => `    note: ${remark}`),
    ...(verbose ? steps.map(({ text }, index) => `    ${String(index + 1).padStart(2)}. ${text}`) : []),
  ];
}

function volumeFate(isNew: boolean, snapshot: string | undefined, restored: string | undefined): string {
  if (isNew) return "made, empty";
  if (restored !== undefined) return `brought back to ${restored}`;
  return `kept, snapshot ${snapshot} before the swap`;
}

function rootChange(from: RootSummary | undefined, to: RootSummary | undefined): string {
  const name = (root: RootSummary): string => root.systemHash?.slice(0, 8) ?? root.image;
  if (from && to && name(from) !== name(to)) return `: ${name(from)} → ${name(to)}`;
  return to ? `: ${name(to)}` : "";
}

/** Machines in which the very same things change are told together. */
function sameDifferences(machines: readonly MachinePlan[], differences: RenderedDifferences): MachinePlan[][] {
  const groups = new Map<string, MachinePlan[]>();
  for (const machine of machines) {
    const lines = differences.get(machine.path);
    const key = lines === undefined || lines.length === 0 ? machine.path : `${machine.action} ${lines.join("\n")}`;
    groups.set(key, [...(groups.get(key) ?? []), machine]);
  }
  return [...groups.values()];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => (line === "" ? "" : `    ${line}`));
}

function summary(plan: Plan): string {
  const changing = plan.machines.filter(({ steps }) => steps.length > 0);
  const stopped = plan.machines.filter(({ action }) => action === "foreign" || action === "blocked");
  const parts = [
    changing.length === 0
      ? "nothing to do"
      : `${count(changing.length, "machine")} in ${count(plan.waves.length, "wave")}`,
    ...(stopped.length > 0 ? [`${count(stopped.length, "machine")} left alone`] : []),
  ];
  return `plan ${plan.hash.slice(0, 12)}: ${parts.join(", ")}`;
}

function writes({ shared, own, images, isKnown }: WriteEstimate): string {
  const about = isKnown ? "" : "about ";
  return `writes ${about}${formatBytes(shared)} that images share, ${formatBytes(own)} of ${count(images, "image")} alone`;
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
