import { extend } from "../language/service-type.ts";
import type { Interpolated, PackageFile } from "../language/text.ts";
import { collector, systemRoot } from "./essential-part.ts";

/** How a program is asked what it thinks of a configuration, before there is an image that holds it. */
export interface ConfigurationCheck {
  /** Told when it refuses: `named-checkconf`. */
  readonly name: string;
  /** The program of the system's own packages that judges; it ends with 0 when all is well. */
  readonly program: PackageFile;
  /** Generated files among them are there at their store paths, as are those that they name. */
  readonly arguments: readonly Exclude<Interpolated, readonly Interpolated[]>[];
  /** Further files, and folders with all they hold, of the finished system: `/etc/bind`. Left out when absent. */
  readonly reads?: readonly string[];
  /**
   * Programs and libraries that it starts or opens without being linked to them; folders with all they hold.
   * `{multiarch}` stands for Debian's name of the machine's architecture in folders of libraries.
   */
  readonly loads?: readonly string[];
  /** Empty folders that it expects to be there and writable. */
  readonly folders?: readonly string[];
  /** Programs that refuse to look at anything as somebody else. Root of the sandbox, of nothing else. */
  readonly asRoot?: boolean;
}

/** Configurations that are judged when the system is built, by the programs that will read them. */
export const configurationChecks = collector<ConfigurationCheck>({
  name: "configuration-checks",
  description: "Configurations that are judged when the system is built, by the programs that will read them.",
  extensions: [extend(systemRoot, ({ items }) => ({ configurationChecks: items }))],
});
