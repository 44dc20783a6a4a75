import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../base/error.ts";
import type { GuestAgent } from "../guest-agent.ts";
import type { MachineId, PowerOffOptions } from "../hypervisor.ts";
import { type Domain, readDomain } from "./domain.ts";
import type { Virsh } from "./virsh.ts";

/** The domain, which must be there. @throws MesoError `no-machine`. */
export async function existingDomain(virsh: Virsh, id: MachineId): Promise<Domain> {
  const domain = await readDomain(virsh, id.name);
  if (domain) return domain;
  throw failure("no-machine", `there is no machine ${id.name} on libvirt at ${virsh.uri}`);
}

/** See `HypervisorDriver.powerOn`. */
export async function powerOn(virsh: Virsh, id: MachineId, deadlineSeconds: number): Promise<void> {
  const end = performance.now() + deadlineSeconds * 1000;
  const seconds = () => Math.max(1, (end - performance.now()) / 1000);
  let domain = await existingDomain(virsh, id);
  while (domain.state.power === "changing" && performance.now() < end) {
    await sleep(pollMilliseconds);
    domain = await existingDomain(virsh, id);
  }
  if (domain.state.power === "on") return;
  if (domain.state.power === "changing") {
    throw failure("machine-locked", `${id.name} is neither on nor off: ${domain.state.busy ?? domain.stateWords}`);
  }
  if (domain.state.power === "crashed") await destroy(virsh, id);
  const verb = verbs[domain.stateWords] ?? "start";
  try {
    await virsh.run([verb, id.name], { seconds: seconds(), changes: true });
  } catch (error) {
    // Somebody else may have been faster, or only the answer was lost.
    if ((await existingDomain(virsh, id)).state.power !== "on") throw error;
  }
}

const verbs: Readonly<Record<string, string>> = { paused: "resume", pmsuspended: "dompmwakeup" };

const pollMilliseconds = 250;

/** See `HypervisorDriver.powerOff`. */
export async function powerOff(
  virsh: Virsh,
  id: MachineId,
  agent: GuestAgent,
  options: PowerOffOptions,
): Promise<"graceful" | "forced" | "was-off"> {
  const domain = await existingDomain(virsh, id);
  if (domain.isGone) return "was-off";
  if (options.graceful && (await endsByItself(virsh, domain, agent, options.deadlineSeconds))) return "graceful";
  if (!options.force) {
    throw failure("power-off-timeout", `${id.name} did not power off within ${options.deadlineSeconds} s`, {
      hint: "look at its console; allow cutting its power (mayCutPower), or give it more time (shutdownSeconds)",
    });
  }
  await destroy(virsh, id);
  return "forced";
}

/** Whether it has gone: asked by its agent, and, when that does not help, by the power button. */
async function endsByItself(virsh: Virsh, domain: Domain, agent: GuestAgent, seconds: number): Promise<boolean> {
  const { id, power, hasAgent } = domain.state;
  const start = performance.now();
  const passed = () => (performance.now() - start) / 1000;
  if (power === "crashed") return false;
  // What stands still can be asked for nothing.
  if (power === "paused") await virsh.run([verbs[domain.stateWords]!, id.name], { changes: true }).catch(() => {});
  const heard =
    hasAgent &&
    (await agent.shutdown().then(
      () => true,
      () => false,
    ));
  let mayPress = true;
  for (;;) {
    const now = await readDomain(virsh, id.name);
    if (!now || now.isGone) return true;
    if (mayPress && (!heard || passed() > seconds / 2)) {
      mayPress = false;
      await virsh.run(["shutdown", id.name, "--mode", "acpi"], { changes: true }).catch(() => {});
    }
    if (passed() > seconds) return false;
    await sleep(Math.min(pollMilliseconds, Math.max(1, (seconds - passed()) * 1000)));
  }
}

/** Cuts the power; libvirt returns when QEMU has gone. */
async function destroy(virsh: Virsh, id: MachineId): Promise<void> {
  const failed = await virsh.run(["destroy", id.name], { changes: true }).then(
    () => undefined,
    (error: unknown) => error,
  );
  const now = await readDomain(virsh, id.name);
  if (!now || now.isGone) return;
  throw failed ?? failure("task-failed", `${id.name} is ${now.stateWords} after its power was cut`);
}
