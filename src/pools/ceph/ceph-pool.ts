import type { Problem } from "../../base/error.ts";
import { failure, MesoError } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import { checkName } from "../image-name.ts";
import type { DiskLocation, ImageName, Pool, PoolImage } from "../pool.ts";
import { type BaseUse, baseUses } from "./base-uses.ts";
import { explained } from "./ceph-failure.ts";
import { type CephContext, existingImage, type FoundImage, listImages, poolsOf } from "./context.ts";
import { documentNames, putDocument, readDocument, removeDocument } from "./documents.ts";
import { adoptImage, cloneImage, describeImage, removeImage, renameOurs } from "./images.ts";
import { appendJournal, journalLines } from "./journal.ts";
import { currentLease, releaseLease, takeLease } from "./lease.ts";
import { publish } from "./publish.ts";
import { rbdCommands } from "./rbd-commands.ts";
import type { RbdDriver } from "./rbd-driver.ts";
import { rbdHelper } from "./rbd-helper.ts";
import { cephRunner } from "./run-ceph.ts";
import { basePrefix, type CephSettings, ownPrefix } from "./settings.ts";
import { sweep } from "./sweep.ts";
import { createVolume, listSnapshots, removeSnapshot, restoreSnapshot, takeSnapshot } from "./volumes.ts";

/** The images of one Ceph cluster, in one pool or two. Nothing is asked of the cluster until the first verb is. */
export function openCephPool(settings: CephSettings): Pool {
  const title = `the Ceph pool ${poolsOf(settings).join(" with ")}`;
  const run = cephRunner(settings, title);
  let driver: Promise<RbdDriver> | undefined;
  const rbd = (): Promise<RbdDriver> => {
    driver ??= chooseDriver(settings, title, run).catch((error) => {
      driver = undefined;
      throw error;
    });
    return driver;
  };
  const context: CephContext = { settings, title, run, rbd };
  /** Where images were seen last: `disk` has no time to look. */
  const places = new Map<ImageName, string>();
  const guarded = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw explained(error, title, name);
    }
  };
  /** Checks the names, then works; `name` is what refusals are about. */
  const on = async <T>(names: readonly string[], work: () => Promise<T>): Promise<T> => {
    for (const name of names) refuseReserved(checkName(name));
    return guarded(names[0]!, work);
  };

  return {
    kind: "ceph",
    title,
    check: () => problemsOf(context),
    list: () =>
      guarded("an image", async () => {
        const found = await listImages(context);
        for (const { name, spec } of found) places.set(name, spec.pool);
        return found.map(poolImage).sort((a, b) => compareBytes(a.name, b.name));
      }),
    publish: (publications, sources) =>
      on(
        publications.map(({ name }) => name),
        async () => {
          const report = await publish(context, publications, sources);
          for (const { name } of publications) places.set(name, settings.pool);
          return report;
        },
      ),
    clone: (source, name, about) =>
      on([source.image, name, ...(source.snapshot === undefined ? [] : [source.snapshot])], () =>
        cloneImage(context, source, name, about),
      ),
    rename: (from, to) =>
      on([from, to], async () => {
        await renameOurs(context, from, to);
        places.delete(from);
        places.delete(to);
      }),
    describe: (name, about) => on([name], () => describeImage(context, name, about)),
    adopt: (name, about) => on([name], () => adoptImage(context, name, about)),
    remove: (name) => on([name], () => removeImage(context, name)),
    createVolume: (name, size, about) => on([name], () => createVolume(context, name, size, about)),
    snapshot: (name, snapshot) => on([name, snapshot], () => takeSnapshot(context, name, snapshot)),
    snapshots: (name) => on([name], () => listSnapshots(context, name)),
    removeSnapshot: (name, snapshot) => on([name, snapshot], () => removeSnapshot(context, name, snapshot)),
    restoreSnapshot: (name, snapshot) => on([name, snapshot], () => restoreSnapshot(context, name, snapshot)),
    openers: (name) =>
      on([name], async () => {
        const { spec } = await existingImage(context, name);
        return (await rbd()).watchers(spec);
      }),
    disk: (name) => diskLocation(settings, checkName(name), places.get(name)),
    usage: () => guarded("an image", () => usageOf(context)),
    takeLease: (lease) => guarded("the lease", () => takeLease(context, lease)),
    lease: () => guarded("the lease", () => currentLease(context)),
    releaseLease: (holder) => guarded("the lease", () => releaseLease(context, holder)),
    journal: () => guarded("the journal", () => journalLines(context)),
    appendJournal: (line) => guarded("the journal", () => appendJournal(context, line)),
    putDocument: (name, bytes) => on([name], () => putDocument(context, name, bytes)),
    document: (name) => on([name], () => readDocument(context, name)),
    documents: () => guarded("documents", () => documentNames(context)),
    removeDocument: (name) => on([name], () => removeDocument(context, name)),
    sweep: () => guarded("what was left", () => sweep(context)),
  };
}

async function chooseDriver(
  settings: CephSettings,
  title: string,
  run: ReturnType<typeof cephRunner>,
): Promise<RbdDriver> {
  if (settings.driver !== "commands") {
    const helper = rbdHelper(settings, title);
    if (await helper.isInstalled()) return helper;
    if (settings.driver === "helper") {
      throw failure("ceph-missing", "Ceph's Python modules are not installed", {
        hint: "apt-get install python3-rbd python3-rados",
      });
    }
  }
  return rbdCommands(run);
}

function refuseReserved(name: string): void {
  if (!name.startsWith(ownPrefix)) return;
  throw failure("wrong-image-name", `${name}: names that begin with ${ownPrefix} are for what the pool itself needs`);
}

function poolImage({ name, size, ours, parent }: FoundImage): PoolImage {
  const isVisible = parent !== undefined && !parent.image.startsWith(ownPrefix);
  return { name, size, about: ours, ...(isVisible && { parent: parent.image }) };
}

/** Published images are named after the moment of their publication, and lie with their base. */
function diskLocation(settings: CephSettings, name: ImageName, seen: string | undefined): DiskLocation {
  const { user, configuration, keyring, storage } = settings;
  const pool = seen ?? (/^VMroot_.*_\d{12}$/.test(name) ? settings.pool : settings.machinePool);
  return {
    kind: "rbd",
    pool,
    image: name,
    user,
    ...(configuration !== undefined && { configuration }),
    ...(keyring !== undefined && { keyring }),
    ...(storage !== undefined && pool === settings.machinePool && { storage }),
  };
}

async function usageOf(context: CephContext): Promise<ReadonlyMap<ImageName, number>> {
  const rbd = await context.rbd();
  const usage = new Map<ImageName, number>([["", 0]]);
  for (const pool of poolsOf(context.settings)) {
    const all = await rbd.names(pool);
    const noted = new Map<ImageName, BaseUse>();
    for (const image of all.filter((name) => name.startsWith(basePrefix))) {
      usage.set("", usage.get("")! + (await rbd.usage({ pool, image })));
      for (const [name, use] of await baseUses(rbd, { pool, image })) noted.set(name, use);
    }
    for (const image of all.filter((name) => !name.startsWith(ownPrefix))) {
      // What was published is never written to again.
      usage.set(image, noted.get(image)?.ownBytes ?? (await rbd.usage({ pool, image })));
    }
  }
  return usage;
}

/** Whether the cluster answers, and whether the user may write to each pool. */
async function problemsOf(context: CephContext): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const pool of poolsOf(context.settings)) {
    try {
      const rbd = await context.rbd();
      await rbd.names(pool);
      const object = `${ownPrefix}check`;
      await rbd.writeObject(pool, object, new Uint8Array(0));
      await rbd.removeObject(pool, object);
      await context.run("rbd", ["--version"]);
    } catch (error) {
      const known = explained(error, context.title, pool);
      if (!(known instanceof MesoError)) throw error;
      problems.push(...known.problems);
    }
  }
  const seen = new Set<string>();
  return problems.filter(({ what }) => !seen.has(what) && seen.add(what));
}
