import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { failure } from "../base/error.ts";
import type { Secret } from "../language/secret.ts";

/** What of the process a secret is looked up in: injected, so that tests need not change their own environment. */
export interface SecretPlaces {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder of the program, which paths are relative to. */
  readonly folder: string;
}

/**
 * The value of a secret, from where it is said to be. The usual places: the variable `MESO_SECRET_<NAME>` (hyphens as
 * underscores), else the file of its name in `$XDG_CONFIG_HOME/meso/secrets` or `~/.config/meso/secrets`. Without the
 * last line's end; kept in memory only, and in no message.
 *
 * @throws MesoError `no-secret` naming the places, `open-secret` when others may read a file of it.
 */
export function secretValue(secret: Pick<Secret, "name" | "source">, places: SecretPlaces): string {
  const { name, source } = secret;
  const value = withoutLineEnd(valueAt(secret, places));
  if (value === "") throw failure("no-secret", `the secret ${name} is empty (${describe(source)})`);
  return value;
}

function valueAt({ name, source }: Pick<Secret, "name" | "source">, places: SecretPlaces): string {
  const { env } = places;
  switch (source.kind) {
    case "usual":
      return usualValue(name, env);
    case "environment": {
      const value = env[source.variable];
      if (value !== undefined) return value;
      throw failure("no-secret", `the secret ${name} is not there`, { expected: `the variable ${source.variable}` });
    }
    case "file":
      return privateFile(name, placed(source.path, places));
    case "command":
      return said(name, source.command, places);
    case "age": {
      const identity = source.identity ?? join(settingsFolder(env) ?? places.folder, "meso", "age-key.txt");
      const key = placed(identity, places);
      // Who can read the key can read the secret.
      privateFile(name, key);
      return said(name, ["age", "--decrypt", "--identity", key, placed(source.path, places)], places);
    }
  }
}

function usualValue(name: string, env: SecretPlaces["env"]): string {
  const variable = `MESO_SECRET_${name.toUpperCase().replaceAll("-", "_")}`;
  const given = env[variable];
  if (given !== undefined && given !== "") return given;
  const settings = settingsFolder(env);
  const file = settings === undefined ? undefined : join(settings, "meso", "secrets", name);
  if (file === undefined || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
    const places = file === undefined ? `the variable ${variable}` : `the variable ${variable}, or the file ${file}`;
    throw failure("no-secret", `the secret ${name} is not there`, { expected: places });
  }
  return privateFile(name, file);
}

function settingsFolder(env: SecretPlaces["env"]): string | undefined {
  return env.XDG_CONFIG_HOME ?? (env.HOME === undefined ? undefined : join(env.HOME, ".config"));
}

function placed(path: string, { env, folder }: SecretPlaces): string {
  if (path.startsWith("~/") && env.HOME !== undefined) return join(env.HOME, path.slice(2));
  return isAbsolute(path) ? path : resolve(folder, path);
}

function privateFile(name: string, file: string): string {
  const status = statSync(file, { throwIfNoEntry: false });
  if (!status?.isFile())
    throw failure("no-secret", `the secret ${name} is not there`, { expected: `the file ${file}` });
  if ((status.mode & 0o077) !== 0) {
    throw failure("open-secret", `${file} can be read by others than its owner`, { hint: `chmod 600 ${file}` });
  }
  return readFileSync(file, "utf8");
}

/** Milliseconds: people may have to type a passphrase, or touch a key. */
const patience = 120_000;

/** What a command says. Of a failure only what it says on standard error is told: the rest may be the secret. */
function said(name: string, [program, ...words]: readonly string[], { env, folder }: SecretPlaces): string {
  try {
    return execFileSync(program!, words, {
      ...{ cwd: folder, env, encoding: "utf8", timeout: patience, maxBuffer: 1 << 20 },
      stdio: ["inherit", "pipe", "pipe"],
    });
  } catch (error) {
    const { code, status, stderr } = error as NodeJS.ErrnoException & { status?: number | null; stderr?: string };
    const isMissing = code === "ENOENT";
    const why = isMissing ? "is not installed" : `ended with ${status ?? code ?? "an error"}`;
    throw failure("no-secret", `the secret ${name} cannot be had: ${program} ${why}`, {
      ...(stderr && { hint: stderr.trim().split("\n").slice(-3).join("\n") }),
    });
  }
}

function describe(source: Secret["source"]): string {
  switch (source.kind) {
    case "usual":
      return "the usual places";
    case "environment":
      return `the variable ${source.variable}`;
    case "command":
      return `what ${source.command[0]} says`;
    default:
      return `the file ${source.path}`;
  }
}

function withoutLineEnd(value: string): string {
  return value.replace(/\r?\n$/, "");
}
