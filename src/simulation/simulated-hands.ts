import { sha256 } from "../base/hash.ts";
import type { Hands } from "../centre/hands.ts";
import type { Actor } from "./actor.ts";
import { behaviourOf } from "./guest.ts";
import { simulatedHypervisor } from "./simulated-hypervisor.ts";
import { simulatedPool } from "./simulated-pool.ts";
import { machineKey, type World } from "./world.ts";

/** Seconds of things that the world itself does not time. */
export interface HandDurations {
  readonly build: number;
  readonly trial: number;
}

/** Everything that the executor works with, simulated: builds, trials and checks as the world's systems behave. */
export function simulatedHands(
  world: World,
  actor: Actor,
  more: Partial<Pick<Hands, "report" | "signal">> & { readonly durations?: HandDurations } = {},
): Hands {
  const { report = () => {}, signal = new AbortController().signal, durations = { build: 3, trial: 45 } } = more;
  const pool = simulatedPool(world, actor);
  return {
    pool,
    hypervisor: simulatedHypervisor(world, actor),
    clock: { now: world.clock.now, sleep: actor.sleep },
    holder: actor.holder,
    report,
    signal,
    publish: async (requests) => {
      await actor.sleep(durations.build);
      const { sharedBytes, ownBytes } = await pool.publish(
        requests.map(({ machine, image, stamp }) => ({
          name: image,
          recipe: { size: machine.diskSize, extents: [] },
          about: {
            formatVersion: 1,
            centre: world.centre,
            machine: machine.path,
            role: "published",
            stamp,
            system: systemAbout(machine.systemHash, machine.path, Math.floor(world.clock.now())),
          },
        })),
        { files: noFiles, identify: (segment) => segment, signal },
      );
      return { sharedBytes, ownBytes };
    },
    // No rehearsal needs the values.
    secrets: ({ secrets = [] }) => new Map(secrets.map((name) => [name, simulatedSecret(name)])),
    verify: ({ machine }) =>
      actor.call({
        verb: "verify",
        of: "hypervisor",
        seconds: durations.trial,
        effect: () => {
          const { passesTrial } = world.behaviour(machine.systemHash, machineKey(machine.id));
          const failed = passesTrial ? [] : ["the simulated trial failed"];
          return { passed: passesTrial, at: Math.floor(world.clock.now()), by: actor.holder, failed, checks: 3 };
        },
      }),
    check: async (machine, _agent, { deadlineSeconds }) => {
      const end = world.clock.now() + deadlineSeconds;
      for (;;) {
        const found = await actor.call({
          verb: "check",
          of: "hypervisor",
          seconds: 1,
          effect: () => {
            const simulated = world.machines.get(machineKey(machine.id));
            const isUp = simulated?.power === "on" && simulated.guest === "up";
            return isUp ? behaviourOf(world, simulated).passesChecks : undefined;
          },
        });
        if (found) return { failed: [], checks: 3 };
        if (world.clock.now() >= end) {
          return {
            failed: [found === undefined ? "the agent does not answer" : "a simulated check failed"],
            checks: 3,
          };
        }
        await actor.sleep(2);
      }
    },
  };
}

/** Nothing that exists only inside a machine looks like it. */
export function simulatedSecret(name: string): string {
  return `simulated value of ${name}`;
}

/** What is written on a simulated image of a system. */
export function systemAbout(systemHash: string, path: string, publishedAt: number) {
  return {
    systemHash,
    imageHash: sha256(`${path} ${systemHash}`),
    lockHash: sha256("lock"),
    builder: "the simulation",
    publishedAt,
  };
}

const noFiles = {
  segmentDataPath: (): never => {
    throw new Error("simulated images have no bytes");
  },
};
