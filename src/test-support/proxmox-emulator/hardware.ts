/** What runs the emulated cluster's machines: real QEMU, or something that only behaves like it. */
export interface Hardware {
  /** @throws Error with the words of a failed start. */
  readonly start: (machine: HardwareMachine) => Promise<RunningMachine>;
}

export interface HardwareMachine {
  readonly vmid: number;
  readonly name: string;
  readonly cores: number;
  readonly memoryMebibytes: number;
  readonly isUefi: boolean;
  readonly disks: readonly {
    readonly slot: string;
    /** `STORAGE:NAME` */
    readonly volume: string;
    readonly serial?: string;
    readonly bootIndex?: number;
  }[];
}

export interface RunningMachine {
  /** As QMP tells it: `running`, `paused`, `internal-error`. */
  readonly state: () => string;
  /** @throws AgentSilence, AgentRefusal. */
  readonly agent: (execute: string, args: Readonly<Record<string, unknown>>, seconds: number) => Promise<unknown>;
  readonly powerButton: () => void;
  readonly resume: () => void;
  readonly kill: () => void;
  readonly exited: Promise<void>;
}

export class AgentSilence extends Error {}

/** With the agent's own words. */
export class AgentRefusal extends Error {}
