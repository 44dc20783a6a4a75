import { after } from "node:test";
import { poolSuite } from "../pool-suite.testing.ts";
import { sharedCluster, suiteOptions } from "./ceph-pool.testing.ts";

const cluster = sharedCluster();
after(() => cluster.stop());

poolSuite("two Ceph pools", () => cluster.fresh({ isTwo: true }), suiteOptions);
