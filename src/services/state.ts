import { extend, serviceType } from "../language/service-type.ts";
import { tmpfiles } from "../system/essential-boot.ts";

/** A folder whose contents must outlive the root file system, made by `stateFolder`. */
export interface StateFolder {
  readonly path: string;
  readonly user: string;
  readonly group: string;
  readonly mode: number;
  /** Units that must not start without it. */
  readonly units: readonly string[];
}

export interface StateOptions {
  readonly folders?: readonly StateFolder[];
}

/** What of a machine must last. Without a state volume such folders lie in the root file system, and go with it. */
export const state = serviceType<StateOptions, readonly StateFolder[]>({
  name: "state",
  description: "Folders that outlive the root file system; services say which.",
  options: { folders: "What services of the system keep." },
  defaults: { folders: [] },
  extend: (options, received) => ({
    ...options,
    folders: [...options.folders, ...received.flatMap(({ value }) => value)],
  }),
  extensions: [
    extend(tmpfiles, ({ folders }) =>
      folders.map(({ path, mode, user, group }) => `d ${path} ${mode.toString(8).padStart(4, "0")} ${user} ${group} -`),
    ),
  ],
});

/**
 * A folder that a service keeps, root's and 0755 unless said: `stateFolder("/var/lib/mysql", { user: "mysql", mode:
 * 0o700, units: ["mariadb.service"] })`.
 */
export function stateFolder(
  path: string,
  { user = "root", group = user, mode = 0o755, units = [] }: Partial<Omit<StateFolder, "path">> = {},
): StateFolder {
  return { path, user, group, mode, units };
}
