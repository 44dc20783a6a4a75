import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentRefusal, AgentSilence, type Hardware, type HardwareMachine, type RunningMachine } from "./hardware.ts";

/** How the guests of one machine number behave, from now on. */
export interface Guest {
  /** Whether an agent runs inside. */
  hasAgent: boolean;
  /** Whether it goes off when asked to, by agent or button. */
  obeys: boolean;
  state: string;
  /** The next start fails with these words. */
  startFails?: string;
  /** Ends the process as a crash would. */
  crash?: () => void;
  /** Disks of each start, by slot. */
  readonly starts: ReadonlyMap<string, string>[];
}

export interface PretendHardware extends Hardware {
  readonly guest: (vmid: number) => Guest;
  /** Files of machines, by their number. */
  readonly folder: string;
}

/** Machines that start at once. Their files below `/guest` and `/run` lie in `folder`, their programs are this host's. */
export function pretendHardware(folder: string): PretendHardware {
  const guests = new Map<number, Guest>();
  const guest = (vmid: number): Guest => {
    const found = guests.get(vmid) ?? { hasAgent: true, obeys: true, state: "running", starts: [] };
    guests.set(vmid, found);
    return found;
  };
  return {
    guest,
    folder,
    start: async (machine) => start(machine, guest(machine.vmid), join(folder, String(machine.vmid))),
  };
}

function start(machine: HardwareMachine, guest: Guest, folder: string): RunningMachine {
  const problem = guest.startFails;
  if (problem !== undefined) {
    delete guest.startFails;
    throw new Error(problem);
  }
  guest.starts.push(new Map(machine.disks.map(({ slot, volume }) => [slot, volume])));
  guest.state = "running";
  let end = () => {};
  const exited = new Promise<void>((resolve) => {
    end = resolve;
  });
  guest.crash = end;
  const inside = (path: string) => (path.startsWith("/guest/") ? join(folder, path.slice(7)) : path);
  return {
    state: () => guest.state,
    agent: async (execute, args, seconds) => {
      if (!guest.hasAgent) {
        await sleep(Math.min(seconds, 0.05) * 1000);
        throw new AgentSilence();
      }
      if (execute === "guest-shutdown") return guest.obeys && end();
      return agentAnswer(execute, args, inside, join(folder, "run"));
    },
    powerButton: () => guest.obeys && end(),
    resume: () => {
      guest.state = "running";
    },
    kill: end,
    exited,
  };
}

const handles = new Map<number, { readonly path: string; offset: number }>();
const finished = new Map<number, object>();
let last = 100;

/** QEMU's docs/interop/qemu-ga-ref. */
function agentAnswer(
  execute: string,
  args: Readonly<Record<string, unknown>>,
  inside: (path: string) => string,
  run: string,
): unknown {
  switch (execute) {
    case "guest-ping":
      return {};
    case "guest-exec": {
      const [program, ...rest] = [String(args.path), ...((args.arg as string[] | undefined) ?? [])].map(inside);
      const input = Buffer.from(String(args["input-data"] ?? ""), "base64");
      mkdirSync(run, { recursive: true });
      const own = ["--dev-bind", "/", "/", "--bind", run, "/run", "--", program!, ...rest];
      const { status, signal, stdout, stderr } = spawnSync("bwrap", own, { input });
      if (!existsSync(program!))
        throw new AgentRefusal(`Failed to execute child process “${program}” (No such file or directory)`);
      const pid = ++last;
      finished.set(pid, {
        exited: true,
        ...(status === null ? { signal: signal === "SIGKILL" ? 9 : 15 } : { exitcode: status }),
        "out-data": stdout.toString("base64"),
        "err-data": stderr.toString("base64"),
      });
      return { pid };
    }
    case "guest-exec-status": {
      const result = finished.get(Number(args.pid));
      if (!result) throw new AgentRefusal("Invalid parameter 'pid'");
      finished.delete(Number(args.pid));
      return result;
    }
    case "guest-file-open": {
      const path = inside(String(args.path));
      if (String(args.mode ?? "r").startsWith("w")) {
        mkdirSync(dirname(path), { recursive: true });
        rmSync(path, { force: true });
        writeFileSync(path, "");
      } else if (!readable(path)) {
        throw new AgentRefusal(`failed to open file '${args.path}' (mode: 'r'): No such file or directory`);
      }
      handles.set(++last, { path, offset: 0 });
      return last;
    }
    case "guest-file-write": {
      const bytes = Buffer.from(String(args["buf-b64"]), "base64");
      writeFileSync(handles.get(Number(args.handle))!.path, bytes, { flag: "a" });
      return { count: bytes.length, eof: false };
    }
    case "guest-file-read": {
      const file = handles.get(Number(args.handle))!;
      const whole = readFileSync(file.path);
      const bytes = whole.subarray(file.offset, file.offset + Number(args.count));
      file.offset += bytes.length;
      // A read that ends at the last byte does not know yet that it was the last.
      return { count: bytes.length, "buf-b64": bytes.toString("base64"), eof: bytes.length < Number(args.count) };
    }
    default:
      return {};
  }
}

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
