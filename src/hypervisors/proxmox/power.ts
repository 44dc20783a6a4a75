import { failure, type MesoError } from "../../base/error.ts";
import type { PowerOffOptions } from "../hypervisor.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { type MachineReading, requireMachine } from "./machine-state.ts";

/**
 * Power goes by looking, not by tasks: of a machine under HA the task only notes the wish, of others its answer may be
 * lost. A task that failed is believed only when the machine is not as wished either.
 */
export async function powerOn(cluster: Cluster, vmid: number, deadlineSeconds: number): Promise<void> {
  const found = await requireMachine(cluster, vmid);
  if (found.state.power === "on") return;
  refuseBusy(found);
  if (found.state.power === "crashed") await stop(cluster, found, deadlineSeconds);
  const path = { node: found.node, vmid };
  const begin = (seconds: number) =>
    found.state.power === "paused"
      ? cluster.api.run("POST /nodes/{node}/qemu/{vmid}/status/resume", path, {}, seconds)
      : cluster.api.run("POST /nodes/{node}/qemu/{vmid}/status/start", path, { timeout: Math.ceil(seconds) }, seconds);
  const isOn = async () => {
    const { status, qmpstatus } = await statusOf(cluster, vmid);
    return status === "running" && qmpstatus === "running";
  };
  const { isSo, problem } = await reach(cluster, found, begin, isOn, deadlineSeconds);
  if (!isSo) throw problem ?? notReached(found, "run", deadlineSeconds);
}

/** Certain when it returns: no process of the machine is left, and HA has no wish to start it. */
export async function powerOff(
  cluster: Cluster,
  vmid: number,
  { graceful, deadlineSeconds, force }: PowerOffOptions,
): Promise<"graceful" | "forced" | "was-off"> {
  const found = await requireMachine(cluster, vmid);
  if (found.state.power === "off") {
    // What died by itself is started again by HA, in the middle of whatever comes next: let it know the wish.
    if (found.haKeepsItOn) await stop(cluster, found, deadlineSeconds);
    return "was-off";
  }
  refuseBusy(found);
  const canListen = found.state.power === "on";
  if (graceful && canListen) {
    const path = { node: found.node, vmid };
    const asked = { timeout: Math.ceil(deadlineSeconds) };
    const begin = (seconds: number) =>
      cluster.api.run("POST /nodes/{node}/qemu/{vmid}/status/shutdown", path, asked, seconds);
    // A dead agent costs the server some seconds before it turns to the power button.
    const { isSo, problem } = await reach(
      cluster,
      found,
      begin,
      () => isOff(cluster, vmid),
      deadlineSeconds + agentSeconds,
    );
    // A task that has failed while the machine went off: somebody else cut the power.
    if (isSo) return problem && problem.code !== "unknown-outcome" ? "forced" : "graceful";
    const isSlow = problem === undefined || isCode(problem, "power-off-timeout", "unknown-outcome", "agent-silent");
    if (!force) throw isSlow ? tooSlow(found, deadlineSeconds, problem) : problem;
  } else if (!force) {
    throw failure(
      "power-off-timeout",
      `${found.state.id.name} (${vmid}) cannot shut down in order: it is ${found.state.power}`,
      {
        hint: "allow its power to be cut",
      },
    );
  }
  await stop(cluster, found, deadlineSeconds);
  return "forced";
}

const agentSeconds = 15;
/** For what takes no cooperation of the machine. */
const hardSeconds = 60;

/** A power cut; a shutdown that hangs is set aside. */
async function stop(cluster: Cluster, found: MachineReading, deadlineSeconds: number): Promise<void> {
  const { node, state } = found;
  const vmid = state.id.vmid!;
  const seconds = Math.max(deadlineSeconds, hardSeconds);
  // HA has its own way of setting a shutdown aside.
  const parameters = state.managedBy ? {} : { "overrule-shutdown": true };
  const begin = (left: number) =>
    cluster.api.run("POST /nodes/{node}/qemu/{vmid}/status/stop", { node, vmid }, parameters, left);
  const { isSo, problem } = await reach(cluster, found, begin, () => isOff(cluster, vmid), seconds);
  if (isSo) return;
  const what = `${state.id.name} (${vmid}) still runs ${seconds} s after its power was cut`;
  throw problem ?? failure("power-off-timeout", what);
}

/**
 * Begins something and looks until it is so. Asked again when the answer was lost and nothing came of it; believed to have
 * failed only when it is not so either. Gives whether it is, and what the last attempt met with.
 */
async function reach(
  cluster: Cluster,
  { state }: MachineReading,
  begin: (secondsLeft: number) => Promise<void>,
  look: () => Promise<boolean>,
  deadlineSeconds: number,
): Promise<{ readonly isSo: boolean; readonly problem: MesoError | undefined }> {
  const end = performance.now() + deadlineSeconds * 1000;
  const left = () => Math.max(0, (end - performance.now()) / 1000);
  for (;;) {
    const problem = await attempt(() => begin(Math.max(1, left())));
    const wasLost = problem?.code === "unknown-outcome";
    const hasFailed = problem !== undefined && !wasLost && !state.managedBy;
    const patience = hasFailed ? 0 : wasLost ? Math.min(left(), cluster.api.lostSeconds) : left();
    const done = await cluster.api.until(async () => ((await look()) ? true : undefined), patience);
    if (done || !wasLost || left() === 0) return { isSo: done ?? false, problem };
  }
}

async function isOff(cluster: Cluster, vmid: number): Promise<boolean> {
  const { status, ha } = await statusOf(cluster, vmid);
  const wish = (ha as { state?: unknown }).state;
  return status === "stopped" && wish !== "started" && wish !== "enabled";
}

/** Where it is now: HA may have moved it. */
async function statusOf(cluster: Cluster, vmid: number) {
  const status = await cluster.onNode(vmid, (node) =>
    cluster.api.call("GET /nodes/{node}/qemu/{vmid}/status/current", { node, vmid }),
  );
  if (status) return status;
  throw failure("no-machine", `machine ${vmid} has disappeared`);
}

async function attempt(body: () => Promise<void>): Promise<MesoError | undefined> {
  try {
    await body();
    return undefined;
  } catch (error) {
    const told = [
      "task-failed",
      "unknown-outcome",
      "power-off-timeout",
      "agent-silent",
      "busy-retry",
      "machine-locked",
    ];
    if (isCode(error, ...told)) return error;
    throw error;
  }
}

/** @throws MesoError `machine-locked` (a template too: nothing there ever runs). */
export function refuseBusy({ state }: MachineReading): void {
  if (state.busy === undefined) return;
  throw failure("machine-locked", `${state.id.name} (${state.id.vmid}) cannot be changed: ${state.busy}`, {
    hint: "wait for the operation named; what a dead backup left is freed by `qm unlock` on the node",
  });
}

function notReached({ state }: MachineReading, what: string, seconds: number) {
  return failure("unknown-outcome", `${state.id.name} (${state.id.vmid}) does not ${what} after ${seconds} s`, {
    ...(state.managedBy && { hint: "it is managed by HA: see `ha-manager status` on a node" }),
  });
}

function tooSlow({ state }: MachineReading, seconds: number, cause: MesoError | undefined) {
  const what = `${state.id.name} (${state.id.vmid}) did not shut down within ${seconds} s`;
  return failure("power-off-timeout", what, { hint: "look at its console, or allow its power to be cut" }, cause);
}
