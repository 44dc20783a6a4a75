import type { Endpoint } from "../language/endpoint.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { systemdUnits } from "../system/essential-units.ts";
import { mountUnitName, mountUnits } from "./mount-units.ts";

/** A folder of a server, and where it appears. */
export interface NfsMount {
  readonly server: Endpoint<"nfs">;
  /** As the server exports it. */
  readonly path: string;
  readonly at: string;
  /** Mounted when somebody looks, and again away after 10 minutes of rest. Default: at boot. */
  readonly onDemand?: boolean;
  /** Further options of nfs(5): `["ro", "soft", "nconnect=4"]`. */
  readonly options?: readonly string[];
}

export interface NfsClientOptions {
  readonly mounts: readonly NfsMount[];
  readonly version?: "4" | "4.0" | "4.1" | "4.2" | "3";
}

/** Folders of other machines. */
export const nfsClient = serviceType<NfsClientOptions>({
  name: "nfs-client",
  description: "Mounts folders of NFS servers, at boot or when somebody looks.",
  options: {
    mounts: "What is mounted, from which server, where.",
    version: "Version of the protocol; 4 is the newest of its kind that both sides know.",
  },
  defaults: { version: "4" },
  validate: ({ mounts }) => [
    ...mounts
      .flatMap(({ path, at }) => [path, at])
      .filter((path) => !isNormalAbsolutePath(path) || /\s/.test(path))
      .map((path) => ({
        ...{ code: "wrong-path", field: "mounts", what: `found ${JSON.stringify(path)}` },
        expected: "an absolute path without spaces",
      })),
  ],
  extensions: [
    extend(profile, () => ["nfs-common"]),
    extend(systemdUnits, ({ mounts, version }) => [
      ...mounts.flatMap(({ server, path, at, onDemand = false, options = [] }) =>
        mountUnits({
          ...{ what: `${server.address}:${path}`, where: at, type: version === "3" ? "nfs" : "nfs4", onDemand },
          // After a power failure servers come back later than their clients.
          options: [`vers=${version}`, `port=${server.port}`, `retry=${aWeek}`, ...options],
        }),
      ),
    ]),
    extend(checks, ({ mounts }) =>
      mounts.map(({ at, onDemand }) => unitActive(mountUnitName(at, onDemand ? "automount" : "mount"))),
    ),
  ],
});

/** In minutes, as nfs(5) counts them. */
const aWeek = 7 * 24 * 60;
