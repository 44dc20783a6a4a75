import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { nodeName } from "../hypervisors/qemu-disks.ts";
import type { QemuMonitor } from "../hypervisors/qemu-monitor.ts";
import { type Machine, type MachineOptions, startMachine } from "../hypervisors/start-machine.ts";
import type { MachineSnapshot } from "./machine-under-test.ts";

/** A machine whose disks outlive its power. */
export interface PoweredMachine {
  /** @throws MesoError `machine-off`. */
  readonly running: () => Machine;
  /** Undefined while it is off. */
  readonly now: () => Machine | undefined;
  /** Already on: fine. */
  readonly start: () => Promise<void>;
  readonly cut: () => Promise<void>;
  /** Returns when QEMU has ended by itself. */
  readonly ended: () => Promise<void>;
  /** Its root as the image has it; other disks stay as they are. @throws MesoError `machine-on`. */
  readonly freshRoot: () => void;
  readonly snapshot: () => Promise<MachineSnapshot>;
  /** All that it said on its console, of every start. */
  readonly consoleText: () => string;
  /** Address of the card that leads to this host. */
  readonly managementMac: string;
}

export function poweredMachine(name: string, options: MachineOptions, managementMac: string): PoweredMachine {
  let machine: Machine | undefined;
  let formerly = "";
  let snapshots = 0;
  const running = (): Machine => {
    if (machine) return machine;
    throw failure("machine-off", `${name} is off`, { hint: "start() it first" });
  };
  const forget = () => {
    formerly += machine?.console.text() ?? "";
    machine = undefined;
  };
  return {
    ...{ running, managementMac },
    now: () => machine,
    start: async () => {
      machine ??= await startMachine(options);
    },
    cut: async () => {
      await machine?.stop({ gracefulSeconds: 0 });
      forget();
    },
    ended: async () => {
      await machine?.exited;
      forget();
    },
    freshRoot: () => {
      if (machine) throw failure("machine-on", `${name} is on`, { hint: "powerOff() or kill() it first" });
      const layer = options.disks[0]?.layer;
      if (layer !== undefined) rmSync(layer, { force: true });
    },
    snapshot: async () => {
      const tag = `story-${++snapshots}`;
      // Every disk that is written to, and the firmware's variables, which are written on the same occasions.
      const disks = options.disks.map(({ slot }, index) => nodeName(slot ?? `scsi${index}`));
      const devices = [...disks, ...(options.firmware === "uefi" ? ["variables"] : [])];
      const taken = running();
      await snapshotJob(taken.monitor, "snapshot-save", tag, devices);
      return {
        restore: async () => {
          if (machine !== taken) throw failure("machine-off", `${name} was off since its snapshot was taken`);
          await snapshotJob(taken.monitor, "snapshot-load", tag, devices);
          // What was loaded goes on as it was taken: running.
          await taken.monitor.execute("cont");
        },
      };
    },
    consoleText: () => formerly + (machine?.console.text() ?? ""),
  };
}

/** A background job of QEMU (qapi/migration.json), which is over when it says so. */
async function snapshotJob(
  monitor: QemuMonitor,
  command: "snapshot-save" | "snapshot-load",
  tag: string,
  devices: readonly string[],
): Promise<void> {
  const id = `${command}-${tag}-${++jobs}`;
  await monitor.execute(command, { "job-id": id, tag, vmstate: devices[0], devices });
  for (;;) {
    const all = (await monitor.execute("query-jobs", undefined, 60)) as {
      id: string;
      status: string;
      error?: string;
    }[];
    const job = all.find((one) => one.id === id);
    if (job?.status === "concluded") {
      await monitor.execute("job-dismiss", { id });
      if (job.error) throw failure("task-failed", `QEMU's ${command} failed: ${job.error}`);
      return;
    }
    await sleep(50);
  }
}

let jobs = 0;
