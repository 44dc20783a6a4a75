import type { GuestAgent } from "../hypervisors/guest-agent.ts";
import type { Credentials, HypervisorDriver } from "../hypervisors/hypervisor.ts";
import type { Verdict } from "../pools/about.ts";
import type { DiskLocation, ImageName, Pool } from "../pools/pool.ts";
import type { DesiredMachine } from "./desired.ts";
import type { MachineOutcome } from "./outcome.ts";
import type { StepKind } from "./steps.ts";

/** Everything that the executor reaches the world through: the real one, or a simulated one. */
export interface Hands {
  readonly pool: Pool;
  readonly hypervisor: HypervisorDriver;
  readonly clock: Clock;
  /** `user@host process 4711` */
  readonly holder: string;
  /**
   * Makes each image exist under its name, whole and described as `published`, building what is not built yet; several
   * at once, so that what they share is written once. What is there already is fine.
   */
  readonly publish: (requests: readonly PublishRequest[]) => Promise<PublishedBytes>;
  /** What a machine is handed at its start; empty when its system needs no secrets. */
  readonly secrets: (machine: DesiredMachine) => Credentials;
  /** Boots a candidate on a throw-away overlay and runs its machine's checks. A failed check is a verdict, no error. */
  readonly verify: (trial: Trial) => Promise<Verdict>;
  /** Waits for the agent and runs the machine's checks, until all pass or the deadline is over. */
  readonly check: (machine: DesiredMachine, agent: GuestAgent, patience: CheckPatience) => Promise<CheckedMachine>;
  readonly report: (event: DeployEvent) => void;
  /** When aborted, what was begun is ended and nothing else begun. */
  readonly signal: AbortSignal;
}

export interface Clock {
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (seconds: number, signal?: AbortSignal) => Promise<void>;
}

export interface PublishRequest {
  readonly machine: DesiredMachine;
  readonly image: ImageName;
  readonly stamp: string;
}

export interface PublishedBytes {
  readonly sharedBytes: number;
  readonly ownBytes: number;
}

export interface Trial {
  readonly machine: DesiredMachine;
  /** Nothing is written to it. */
  readonly root: DiskLocation;
  /** Copies, which the trial may write to. */
  readonly volumes: readonly { readonly name: string; readonly disk: DiskLocation }[];
}

export interface CheckPatience {
  readonly deadlineSeconds: number;
  /** How many times slower than hardware the machine is: stretches the deadline. */
  readonly timeScale: number;
}

export interface CheckedMachine {
  /** Failed checks, in words; empty when all passed. */
  readonly failed: readonly string[];
  /** How many ran. */
  readonly checks: number;
}

export type DeployEvent =
  | { readonly kind: "stage"; readonly text: string }
  | {
      readonly kind: "step";
      readonly path: string;
      readonly step: StepKind;
      readonly text: string;
      readonly isWayBack: boolean;
    }
  | { readonly kind: "stepped"; readonly path: string; readonly step: StepKind; readonly seconds: number }
  /** What a machine waits for, each time that changes. */
  | { readonly kind: "waits"; readonly path: string; readonly text: string }
  | { readonly kind: "trouble"; readonly path?: string; readonly text: string }
  | { readonly kind: "machine"; readonly outcome: MachineOutcome };
