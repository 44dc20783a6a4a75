import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import type { Secret } from "../language/places.ts";

/** What of the process a secret is looked up in: injected, so that tests need not change their own environment. */
export interface SecretPlaces {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The value of a secret: from the variable `MESO_SECRET_<NAME>` (hyphens as underscores), else from the file of its name
 * in `$XDG_CONFIG_HOME/meso/secrets` or `~/.config/meso/secrets`, without the line's end. Kept in memory only.
 *
 * @throws MesoError `no-secret` naming both places, `open-secret` when others may read the file.
 */
export function secretValue({ name }: Secret, { env }: SecretPlaces): string {
  const variable = `MESO_SECRET_${name.toUpperCase().replaceAll("-", "_")}`;
  const given = env[variable];
  if (given !== undefined && given !== "") return given;
  const settings = env.XDG_CONFIG_HOME ?? (env.HOME === undefined ? undefined : join(env.HOME, ".config"));
  const file = settings === undefined ? undefined : join(settings, "meso", "secrets", name);
  const status = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (file === undefined || !status?.isFile()) {
    const places = file === undefined ? `the variable ${variable}` : `the variable ${variable}, or the file ${file}`;
    throw failure("no-secret", `the secret ${name} is not there`, { expected: places });
  }
  if ((status.mode & 0o077) !== 0) {
    throw failure("open-secret", `${file} can be read by others than its owner`, { hint: `chmod 600 ${file}` });
  }
  const value = readFileSync(file, "utf8").replace(/\r?\n$/, "");
  if (value === "") throw failure("no-secret", `${file} is empty`, { expected: `the secret ${name}` });
  return value;
}
