// A regional computing centre: GLiCID's, as its talks describe it, with addresses that nobody has.
//
//   meso plan --centre examples/glicid/centre.ts
//
// `stage.ts` has the one constant that says which of the sites is meant.

import { centre, cephPool, directoryPool, group, machine, proxmox, qemu, secret } from "mesoforge";
import { access } from "./machines/access.ts";
import { balancers } from "./machines/balancers.ts";
import { cluster } from "./machines/cluster.ts";
import { data } from "./machines/data.ts";
import { names } from "./machines/names.ts";
import { watch } from "./machines/watch.ts";
import { web } from "./machines/web.ts";
import { cardOn } from "./networks.ts";
import { type Stage, stage } from "./stage.ts";
import test001 from "./test001.ts";

/** The test site is on this host; the others are on the cluster, each with a pool of its own. */
const onHost = () => ({
  pool: directoryPool({ path: ".meso/pool" }),
  hypervisor: qemu({ directory: ".meso/machines" }),
});
const onCluster = (pool: string) => ({
  pool: cephPool({ pool, storage: pool }),
  hypervisor: proxmox({
    url: ["https://virtu-dc-001:8006", "https://virtu-dc-002:8006"],
    token: secret("pve-token"),
    certificateAuthority: "pve-root-ca.pem",
  }),
});
const places: Readonly<Record<Stage, () => ReturnType<typeof onHost> | ReturnType<typeof onCluster>>> = {
  test: onHost,
  alpha: () => onCluster("RBD_4R_GLiCID_alpha"),
  beta: () => onCluster("RBD_4R_GLiCID_beta"),
  production: () => onCluster("RBD_4R_GLiCID"),
};

const pairs = [
  ...["dns", "resolvers", "time", "directory", "bastions", "proxies", "reverse", "www", "pgsql", "logins"],
] as const;

export default centre({
  name: `glicid-${stage}`,
  ...places[stage](),
  // Crossed balancers: of four, one may be down. Of two of anything else, one.
  groups: {
    "lb-intra": group({ mayBeDown: 1 }),
    "lb-pub": group({ mayBeDown: 1 }),
    ...Object.fromEntries(pairs.map((name) => [name, group({})])),
    workers: group({ mayBeDown: 2 }),
  },
  parallel: 6,
  machines: {
    ...balancers,
    ...names,
    ...access,
    ...data,
    ...cluster,
    ...web,
    ...watch,
    "for-slides/test001": machine({ os: test001, vmid: 233, nics: [cardOn("glicid")], memory: "2GiB", wave: 0 }),
  },
});
