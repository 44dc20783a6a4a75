import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../base/error.ts";
import type { GuestAgent } from "../hypervisors/guest-agent.ts";
import { deployed, type SmallCentre, systemVersion } from "../simulation/small-centre.testing.ts";
import type { Hands } from "./hands.ts";

const hookOf = (name: string) => ({
  ...{ on: "gate", id: { name: "gate" }, title: `${name} of web`, deadlineSeconds: 9 },
  before: [`drain ${name}`],
  after: [`undrain ${name}`],
});

/** The machine web has two hooks and is to be swapped; how commands on the gate end is said by each test. */
async function swap(
  ends: (command: string, exec: () => ReturnType<GuestAgent["exec"]>) => ReturnType<GuestAgent["exec"]>,
) {
  const centre = await deployed({ gate: {}, web: { drain: [hookOf("first"), hookOf("second")] } });
  centre.change("web", { systemHash: systemVersion("web", 2) });
  const before = centre.machine("web").starts;
  const earlier = centre.machine("gate").commands.length;
  const outcome = await centre.execute(await centre.plan(), withCommands(centre, ends));
  const [web] = outcome.machines;
  const commands = centre
    .machine("gate")
    .commands.slice(earlier)
    .map(([command]) => command);
  return { web: web!, commands, isUntouched: centre.machine("web").starts === before };
}

function withCommands(centre: SmallCentre, ends: Parameters<typeof swap>[0]): Hands {
  const hands = centre.hands();
  const agent: Hands["hypervisor"]["agent"] = (id) => {
    const real = hands.hypervisor.agent(id);
    return { ...real, exec: (argv, options) => ends(argv[0]!, () => real.exec(argv, options)) };
  };
  return { ...hands, hypervisor: { ...hands.hypervisor, agent } };
}

const silent = () => failure("agent-silent", "the guest agent did not answer");

test("hooks are undone the other way round", async () => {
  const { web, commands } = await swap((_command, exec) => exec());
  assert.equal(web.result, "done");
  assert.deepEqual(commands, ["drain first", "drain second", "undrain second", "undrain first"]);
});

test("a hook that fails leaves the machine up, and undoes what was begun; what it printed is told nowhere", async () => {
  const { web, commands, isUntouched } = await swap(async (command, exec) => {
    const done = await exec();
    return command === "drain second" ? { exitCode: 3, stdout: "hunter2", stderr: "hunter2" } : done;
  });
  assert.equal(web.result, "failed");
  assert.match(web.reasons.join("\n"), /second of web could not be drained: the command on gate ended with 3/);
  assert.doesNotMatch(web.reasons.join("\n"), /hunter2/);
  assert.deepEqual(commands, ["drain first", "drain second", "undrain second", "undrain first"]);
  assert.ok(isUntouched);
});

test("a hook that takes too long is undone: it may have begun", async () => {
  const { web, commands } = await swap(async (command, exec) => {
    await exec();
    if (command === "drain first") throw failure("guest-timeout", "drain did not end in the machine within 9 s");
    return { exitCode: 0, stdout: "", stderr: "" };
  });
  assert.equal(web.result, "failed");
  assert.deepEqual(commands, ["drain first", "undrain first"]);
});

test("an agent that falls silent once it has the command leaves nothing drained", async () => {
  const { web, commands, isUntouched } = await swap(async (command, exec) => {
    const done = await exec();
    if (command === "drain second") throw silent();
    return done;
  });
  assert.equal(web.result, "failed");
  assert.deepEqual(commands, ["drain first", "drain second", "undrain second", "undrain first"]);
  assert.ok(isUntouched);
});

test("an agent that never answers has drained nothing: the machine runs on, and is not called broken", async () => {
  const { web, commands, isUntouched } = await swap(async () => {
    throw silent();
  });
  assert.equal(web.result, "failed");
  assert.deepEqual(commands, []);
  assert.ok(isUntouched);
});
