import { aList, aNumber, aRecord, aString, orUndefined } from "./check.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";
import type { Secret } from "./secret.ts";

interface DirectoryPoolFields {
  kind: "directory";
  /** Relative to the program's file. */
  path: string;
}

/** Images as files in a directory: needs nothing but QEMU. */
export type DirectoryPool = RecordOf<DirectoryPoolFields, "kind" | "path">;

const directoryRecord = recordType<DirectoryPoolFields, "kind" | "path">({
  kind: "directoryPool",
  defaults: () => ({}),
  fields: { kind: () => [], path: aString("a path", (path) => path !== "" && !path.includes("\0")) },
});

export function directoryPool({ path }: { readonly path: string }): DirectoryPool {
  return directoryRecord({ kind: "directory", path });
}

const aPoolName = aString("a pool's name", (name) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name));
const aCephUser = aString("a user without client.", (name) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name));

interface CephPoolFields {
  kind: "ceph";
  /** Holds the published images and the base they share. */
  pool: string;
  /** Holds candidates, roots and volumes; the same pool unless said. Rights cannot separate them inside one. */
  machinePool: string;
  /** Without `client.`. */
  user: string;
  /** Default: Ceph's own. */
  configuration: string | undefined;
  keyring: string | undefined;
  /** Proxmox's name of the storage that is `machinePool`. */
  storage: string | undefined;
}

/** Images in Ceph RBD. */
export type CephPool = RecordOf<CephPoolFields, "kind" | "pool">;

const cephRecord = recordType<CephPoolFields, "kind" | "pool">({
  kind: "cephPool",
  defaults: ({ pool }) => ({
    machinePool: pool,
    user: "admin",
    configuration: undefined,
    keyring: undefined,
    storage: undefined,
  }),
  fields: {
    kind: () => [],
    pool: aPoolName,
    machinePool: aPoolName,
    user: aCephUser,
    configuration: orUndefined(aString("a path")),
    keyring: orUndefined(aString("a path")),
    storage: orUndefined(aString("a storage's name", (name) => /^[A-Za-z][A-Za-z0-9._-]*$/.test(name))),
  },
});

export function cephPool(given: Partial<Omit<CephPoolFields, "kind">> & { readonly pool: string }): CephPool {
  return cephRecord({ ...given, kind: "ceph" });
}

export type Pool = DirectoryPool | CephPool;

interface QemuFields {
  kind: "qemu";
  /** Where machines keep their sockets and settings; relative to the program's file. */
  directory: string;
}

/** Virtual machines as QEMU processes of this host. */
export type QemuHost = RecordOf<QemuFields, "kind" | "directory">;

const qemuRecord = recordType<QemuFields, "kind" | "directory">({
  kind: "qemu",
  defaults: () => ({}),
  fields: { kind: () => [], directory: aString("a path", (path) => path !== "") },
});

export function qemu({ directory }: { readonly directory: string }): QemuHost {
  return qemuRecord({ kind: "qemu", directory });
}

interface LibvirtFields {
  kind: "libvirt";
  /** As `virsh --connect` takes it. */
  uri: string;
  /** UUID of the libvirt secret that holds the Ceph user's key. */
  cephSecret: string | undefined;
}

export type LibvirtHost = RecordOf<LibvirtFields, "kind" | "uri">;

const libvirtRecord = recordType<LibvirtFields, "kind" | "uri">({
  kind: "libvirt",
  defaults: () => ({ cephSecret: undefined }),
  fields: {
    kind: () => [],
    uri: aString("a URI of libvirt: qemu:///system", (uri) => /^[a-z+]+:\/\/\S*$/.test(uri)),
    cephSecret: orUndefined(aString("a UUID", (uuid) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid))),
  },
});

export function libvirt(given: Partial<Omit<LibvirtFields, "kind">> = {}): LibvirtHost {
  return libvirtRecord({ uri: "qemu:///system", ...given, kind: "libvirt" });
}

interface ProxmoxFields {
  kind: "proxmox";
  /** `https://node:8006`; several names of one cluster are tried in turn. */
  urls: readonly string[];
  /** `USER@REALM!TOKENID=UUID` */
  token: Secret;
  /** SHA-256 of the first node's certificate, `AA:BB:…`; siblings are learnt from it. */
  fingerprint: string | undefined;
  /** Instead of a fingerprint: file with the cluster's CA; relative to the program's file. */
  certificateAuthority: string | undefined;
  parallelPerNode: number;
}

export type ProxmoxCluster = RecordOf<ProxmoxFields, "kind" | "urls" | "token">;

const proxmoxRecord = recordType<ProxmoxFields, "kind" | "urls" | "token">({
  kind: "proxmox",
  defaults: () => ({ fingerprint: undefined, certificateAuthority: undefined, parallelPerNode: 4 }),
  fields: {
    kind: () => [],
    urls: aList(aString("https://HOST:8006", (url) => /^https:\/\/[^/\s]+$/.test(url))),
    token: aRecord("secret"),
    fingerprint: orUndefined(
      aString("32 pairs of hexadecimal digits with colons", (text) => /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/i.test(text)),
    ),
    certificateAuthority: orUndefined(aString("a path")),
    parallelPerNode: aNumber(1, 16),
  },
});

export function proxmox(
  given: Partial<Omit<ProxmoxFields, "kind" | "urls">> & {
    readonly url: string | readonly string[];
    readonly token: Secret;
  },
): ProxmoxCluster {
  const { url, ...others } = given;
  return proxmoxRecord({ ...others, urls: typeof url === "string" ? [url] : url, kind: "proxmox" });
}

export type Hypervisor = QemuHost | LibvirtHost | ProxmoxCluster;

interface DrainHookFields {
  /** Path of the machine that the commands run on. */
  on: string;
  before: readonly string[];
  after: readonly string[];
  /** Seconds that `before` may take: jobs have to end. */
  deadlineSeconds: number;
  title: string;
}

/** What is done elsewhere before a machine goes down, and undone when it is back. */
export type DrainHook = RecordOf<DrainHookFields, "on" | "before" | "after" | "title">;

const anArgument = aString("one word of a command", (word) => !word.includes("\0"));

const drainRecord = recordType<DrainHookFields, "on" | "before" | "after" | "title">({
  kind: "drainHook",
  defaults: () => ({ deadlineSeconds: 60 }),
  fields: {
    on: aString("a machine's path"),
    before: aList(anArgument),
    after: aList(anArgument),
    deadlineSeconds: aNumber(1, 86_400),
    title: aString("a few words", (title) => title !== "" && !title.includes("\n")),
  },
});

/**
 * Drains a node of Slurm, waits until it runs no job, and resumes it once it is back. A node that somebody has drained
 * already is waited for too, keeps their reason, and stays drained.
 */
export function slurmDrain(given: { controller: string; node: string; deadlineSeconds?: number }): DrainHook {
  const { controller, node, deadlineSeconds = 3600 } = given;
  const script = (text: string) => ["/bin/sh", "-euc", text, "sh", node];
  return drainRecord({
    on: controller,
    title: `Slurm node ${node}`,
    before: script(drainNode),
    after: script(resumeNode),
    deadlineSeconds,
  });
}

// A node of several partitions is told once for each.
const drainNode = `
state=$(sinfo --noheader --nodes="$1" --format=%T)
case $state in
  drain*) ;;
  *) scontrol update nodename="$1" state=drain reason=mesoforge ;;
esac
until state=$(sinfo --noheader --nodes="$1" --format=%T) && [ -n "$state" ] && ! echo "$state" | grep -qv "^drained"; do
  sleep 1
done`;

const resumeNode = `
if sinfo --noheader --nodes="$1" --format=%E | grep -qx mesoforge; then
  scontrol update nodename="$1" state=resume
fi`;

/**
 * Sets the weight of a real server of an IPVS load balancer to 0 while it is away: connections that it has go on, new ones
 * go elsewhere.
 */
export function balancerWeight(given: {
  balancer: string;
  /** Of TCP: `10.0.0.1:443` */
  service: string;
  /** `10.0.0.11:443` */
  server: string;
  weight: number;
  /** How packets reach the server now. ipvsadm would make it `gatewaying` where nothing is said. */
  forwarding?: keyof typeof forwardings;
}): DrainHook {
  const { balancer, service, server, weight, forwarding = "gatewaying" } = given;
  const set = (value: number) => [
    "/usr/sbin/ipvsadm",
    "--edit-server",
    "--tcp-service",
    service,
    "--real-server",
    server,
    forwardings[forwarding],
    "--weight",
    String(value),
  ];
  return drainRecord({ on: balancer, title: `weight of ${server} for ${service}`, before: set(0), after: set(weight) });
}

/** ipvsadm(8), "packet-forwarding-method". */
const forwardings = { gatewaying: "--gatewaying", masquerading: "--masquerading", tunnelling: "--ipip" } as const;

/** Commands of one's own. */
export function drainCommands(
  given: Omit<DrainHookFields, "deadlineSeconds"> & { deadlineSeconds?: number },
): DrainHook {
  return drainRecord(given);
}
