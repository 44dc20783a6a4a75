import { failure, MesoError } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import type { ImageAbout, Verdict } from "../pools/about.ts";
import type { ImageName } from "../pools/pool.ts";
import { parseSnapshotName } from "./image-names.ts";
import { printIntent } from "./intent.ts";
import { type MachineRun, type Run, wholeSeconds } from "./run.ts";
import { latestVerdict } from "./source.ts";
import type { Act } from "./steps.ts";

type ActOf<Kind extends Act["kind"]> = Extract<Act, { kind: Kind }>;

/** The candidate is a fresh copy of the published image; one of another system is thrown away. */
export async function cloneCandidate({ images }: Run, { image, candidate }: ActOf<"clone">): Promise<void> {
  const { about } = images.ours(image);
  const existing = images.get(candidate);
  if (existing) {
    const { role, system, machine } = images.ours(candidate).about;
    if (role === "candidate" && machine === about.machine && system?.imageHash === about.system?.imageHash) return;
    if (role !== "candidate" || machine !== about.machine) {
      throw failure("image-exists", `${candidate} is there, and no candidate of ${about.machine}`);
    }
    await images.remove(candidate);
  }
  const { intent: _, forced: __, ...rest } = about;
  const verdict = knownVerdict(images, about);
  await images.clone({ image }, candidate, { ...rest, role: "candidate", ...(verdict && { verdict }) });
}

/** @throws MesoError `rejected` with the failed checks. */
export async function verifyCandidate(run: Run, { plan }: MachineRun, act: ActOf<"verify">): Promise<void> {
  const { images, hands } = run;
  const candidate = images.ours(act.candidate);
  const known = knownVerdict(images, candidate.about);
  const verdict = known ?? (await tryOut(run, plan.machine, act));
  if (!known) await writeVerdict(run, candidate.about, verdict);
  if (!verdict.passed) {
    throw failure("rejected", `${act.candidate} failed its checks: ${verdict.failed.join("; ") || "no reason given"}`);
  }
  hands.report({ kind: "stage", text: `${plan.path}: ${verdict.checks} checks passed on trial` });
}

/** On every image with these bytes: what one of them does, all do. */
export async function writeVerdict({ images }: Run, of: ImageAbout, verdict: Verdict): Promise<void> {
  for (const { name, about } of [...images.all()]) {
    if (about && holdsSame(about, of)) await images.describe(name, { ...about, verdict });
  }
}

/** Only with a passing verdict, or by somebody's word, which is written down. */
export async function promoteCandidate(run: Run, act: ActOf<"promote">): Promise<void> {
  const { images, plan } = run;
  if (images.get(act.root)?.about?.role !== "root") {
    const name = images.get(act.candidate) ? act.candidate : act.root;
    const { about } = images.ours(name);
    const verdict = knownVerdict(images, about);
    const isPassed = verdict?.passed === true;
    if (!isPassed && plan.force === undefined) {
      throw failure("unverified", `${act.candidate} has no passing verdict`, { hint: "meso verify, or --force" });
    }
    // Its name first: a root by name that still calls itself a candidate is promoted again, never run.
    if (name !== act.root) await images.rename(name, act.root);
    await images.describe(act.root, {
      ...about,
      role: "root",
      stamp: act.root.slice(-12),
      intent: printIntent(act.intent),
      ...(verdict && { verdict }),
      ...(!isPassed && { forced: plan.force! }),
    });
    return;
  }
  await markRoot(run, act);
}

/** Writes down what was begun, and the way back. */
export async function markRoot(
  { images }: Run,
  { root, intent }: Pick<ActOf<"mark">, "root" | "intent">,
): Promise<void> {
  // One that never came to be, and is gone back from all the same, for an earlier deployment has left the machine down.
  if (intent.isGoingBack && !images.get(root)) return;
  const { about } = images.ours(root);
  await images.describe(root, { ...about, intent: printIntent(intent) });
}

/** The swap is over: the root works. */
export async function confirmRoot(
  { images, hands }: Run,
  { checks }: MachineRun,
  act: ActOf<"confirm">,
): Promise<void> {
  const { about } = images.ours(act.root);
  const { intent: _, ...rest } = about;
  const passed: Verdict = { passed: true, at: wholeSeconds(hands.clock), by: hands.holder, failed: [], checks };
  await images.describe(act.root, {
    ...rest,
    ...(about.system && !about.verdict?.passed && { verdict: passed }),
    ...(act.shape !== undefined && { shape: act.shape }),
  });
  for (const name of act.settles) await settle(images, name);
}

async function settle(images: Run["images"], name: ImageName): Promise<void> {
  const about = images.get(name)?.about;
  if (!about || about.intent === undefined) return;
  const { intent: _, ...rest } = about;
  await images.describe(name, rest);
}

/** On copies of its volumes, as they are at this moment. */
async function tryOut(run: Run, machine: MachineRun["plan"]["machine"], act: ActOf<"verify">): Promise<Verdict> {
  const { images, hands, plan } = run;
  const { pool } = hands;
  const clear = async () => {
    for (const { volume, trial, snapshot } of act.volumes) {
      await images.remove(trial);
      run.lease.guard();
      await pool.removeSnapshot(volume, snapshot);
    }
  };
  await clear();
  try {
    const copied: string[] = [];
    for (const { name, volume, trial, snapshot } of act.volumes) {
      const { stamp } = images.ours(volume).about;
      const from = await snapshotForTrial(run, volume, snapshot);
      if (from === undefined) {
        hands.report({ kind: "stage", text: `${machine.path}: tried without ${name}, which is in use` });
        continue;
      }
      await images.clone({ image: volume, snapshot: from }, trial, {
        formatVersion: 1,
        centre: plan.centre,
        machine: machine.path,
        role: "trial",
        volume: name,
        stamp,
      });
      copied.push(name);
    }
    return await hands.verify({
      machine,
      root: pool.disk(act.candidate),
      volumes: act.volumes
        .filter(({ name }) => copied.includes(name))
        .map(({ name, trial }) => ({ name, disk: pool.disk(trial) })),
    });
  } finally {
    await clear().catch(() => {
      hands.report({ kind: "trouble", path: machine.path, text: "copies of its volumes are left: meso prune" });
    });
  }
}

/** Of this moment; where a pool cannot do that while a machine writes, the newest from before a swap. */
async function snapshotForTrial({ hands, lease }: Run, volume: ImageName, wished: string): Promise<string | undefined> {
  lease.guard();
  try {
    await hands.pool.snapshot(volume, wished);
    return wished;
  } catch (error) {
    if (!(error instanceof MesoError) || error.code !== "image-in-use") throw error;
  }
  const left = (await hands.pool.snapshots(volume)).filter((name) => parseSnapshotName(name)?.kind === "left");
  return sortedBy(left, (name) => parseSnapshotName(name)!.stamp).at(-1);
}

function knownVerdict(images: Run["images"], of: ImageAbout): Verdict | undefined {
  const same = [...images.all()].flatMap(({ about }) => (about && holdsSame(about, of) ? [{ about }] : []));
  return latestVerdict(same);
}

function holdsSame(one: ImageAbout, other: ImageAbout): boolean {
  return (
    one.centre === other.centre &&
    one.machine === other.machine &&
    one.system !== undefined &&
    one.system.imageHash === other.system?.imageHash
  );
}
