import { fileURLToPath } from "node:url";
import { type CephCluster, startCephCluster } from "../../test-support/ceph-cluster.ts";
import type { FreshPool, SuiteOptions } from "../pool-suite-context.testing.ts";
import { openCephPool } from "./ceph-pool.ts";
import type { CephSettings } from "./settings.ts";

export const openForTest = (settings: unknown) => openCephPool(settings as CephSettings);

export const suiteOptions: SuiteOptions = {
  kills: 4,
  forgetsAfter: 30_000,
  snapshotsInUse: true,
  overheadPerImage: 64 << 10,
  // A disk of which every byte matters stands on another base than those with free space, which may show it.
  bases: 2,
};

/**
 * One cluster for all tests of a file, and for each of them pools of its own in it. It forgets a client that was killed
 * after `watchSeconds`: soon, as tests wait for it.
 */
export function sharedCluster(watchSeconds = 5) {
  let cluster: Promise<CephCluster> | undefined;
  let pools = 0;
  const start = (): Promise<CephCluster> => {
    cluster ??= startCephCluster({ pools: [], watchSeconds });
    return cluster;
  };
  const newPool = async (): Promise<string> => {
    const { run } = await start();
    const pool = `pool-${++pools}`;
    await run("ceph", ["osd", "pool", "create", pool, "4", "4", "replicated", "--size", "1"]);
    await run("rbd", ["pool", "init", pool]);
    return pool;
  };
  const fresh = async (more: Partial<CephSettings> & { readonly isTwo?: boolean } = {}): Promise<FreshPool> => {
    const { isTwo, ...others } = more;
    const { configuration, run } = await start();
    const pool = await newPool();
    const machinePool = isTwo ? await newPool() : pool;
    const settings: CephSettings = { pool, machinePool, user: "admin", configuration, ...others };
    return {
      pool: openCephPool(settings),
      opener: fileURLToPath(import.meta.url),
      settings,
      makeForeign: async (name) => void (await run("rbd", ["create", "--size", "1M", `${machinePool}/${name}`])),
      remove: async () => {},
    };
  };
  return { start, fresh, stop: async () => (await cluster)?.stop() };
}
