import { readFileSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { failure } from "../base/error.ts";
import type { HypervisorDriver } from "../hypervisors/hypervisor.ts";
import type { Centre } from "../language/centre.ts";
import type { CephPool, ProxmoxCluster } from "../language/places.ts";
import type { Pool } from "../pools/pool.ts";
import type { OpenedCentre } from "./open-centre.ts";
import { type SecretPlaces, secretValue } from "./secret-value.ts";

/** The pool and the hypervisor of a centre. Nothing has been asked of them yet. */
export interface Places {
  readonly pool: Pool;
  readonly hypervisor: HypervisorDriver;
  /** Gives connections back. */
  readonly close: () => void;
}

/**
 * What drives the places that a program names. A driver is only read when a centre uses it.
 *
 * @throws MesoError `no-secret` and the like for a token that is not there.
 */
export async function openPlaces(
  { centre, folder }: OpenedCentre,
  { env }: Pick<SecretPlaces, "env">,
): Promise<Places> {
  const [pool, { hypervisor, close }] = await Promise.all([
    openPool(centre, folder),
    openHypervisor(centre, folder, { env, folder }),
  ]);
  return { pool, hypervisor, close };
}

async function openPool({ pool }: Centre, folder: string): Promise<Pool> {
  if (pool.kind === "directory") {
    const { directoryPool } = await import("../pools/directory/directory-pool.ts");
    return directoryPool(below(folder, pool.path));
  }
  const { openCephPool } = await import("../pools/ceph/ceph-pool.ts");
  return openCephPool(withAbsolutePaths(pool, folder));
}

async function openHypervisor(
  { hypervisor }: Centre,
  folder: string,
  secrets: SecretPlaces,
): Promise<{ readonly hypervisor: HypervisorDriver; readonly close: () => void }> {
  if (hypervisor.kind === "qemu") {
    const { qemuHost } = await import("../hypervisors/qemu-host.ts");
    return { hypervisor: qemuHost({ directory: below(folder, hypervisor.directory) }), close: () => {} };
  }
  if (hypervisor.kind === "libvirt") {
    const { libvirtDriver } = await import("../hypervisors/libvirt/libvirt-driver.ts");
    const { uri, cephSecret } = hypervisor;
    const driver = libvirtDriver({ uri, ...(cephSecret !== undefined && { cephSecret }) });
    return { hypervisor: driver, close: () => {} };
  }
  const { proxmoxDriver } = await import("../hypervisors/proxmox/proxmox-driver.ts");
  const driver = proxmoxDriver(proxmoxOptions(hypervisor, folder, secrets));
  return { hypervisor: driver, close: driver.close };
}

function proxmoxOptions(cluster: ProxmoxCluster, folder: string, secrets: SecretPlaces) {
  const { urls, token, fingerprint, certificateAuthority, parallelPerNode } = cluster;
  return {
    urls,
    token: secretValue(token, secrets),
    ...(fingerprint !== undefined && { fingerprint }),
    ...(certificateAuthority !== undefined && {
      certificateAuthority: certificatesIn(below(folder, certificateAuthority)),
    }),
    parallelPerNode,
  };
}

/** @throws MesoError `no-certificate`: Node itself would quietly trust nobody. */
function certificatesIn(file: string): string {
  const wrong = (what: string) =>
    failure("no-certificate", what, {
      expected: "the cluster's CA in PEM form: /etc/pve/pve-root-ca.pem of any of its nodes",
    });
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw wrong(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (/-----BEGIN CERTIFICATE-----/.test(text)) return text;
  throw wrong(`${file} holds no certificate`);
}

function withAbsolutePaths(pool: CephPool, folder: string): CephPool {
  const { configuration, keyring } = pool;
  return {
    ...pool,
    configuration: configuration === undefined ? undefined : below(folder, configuration),
    keyring: keyring === undefined ? undefined : below(folder, keyring),
  };
}

function below(folder: string, path: string): string {
  return isAbsolute(path) ? path : resolve(folder, path);
}
