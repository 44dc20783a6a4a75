import { failure } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { aString, aWord } from "./check.ts";
import type { Check } from "./complaint.ts";
import type { RecordOf } from "./record.ts";
import { recordType, relocated } from "./record.ts";

/** Where the value of a secret is looked up, on the host that deploys, when it is needed. */
export type SecretSource =
  /** The variable `MESO_SECRET_<NAME>`, or the file `<name>` in `~/.config/meso/secrets`. */
  | { readonly kind: "usual" }
  | { readonly kind: "environment"; readonly variable: string }
  /** Relative to the program's file; `~/` stands for the home of who deploys. */
  | { readonly kind: "file"; readonly path: string }
  /** What the command says, without its last line break: `["pass", "show", "slurm/key"]`. No shell reads it. */
  | { readonly kind: "command"; readonly command: readonly string[] }
  /** A file encrypted by age, fit for git; `identity` is a file with the key, by default `~/.config/meso/age-key.txt`. */
  | { readonly kind: "age"; readonly path: string; readonly identity: string | undefined };

interface SecretFields {
  name: string;
  source: SecretSource;
}

/** The name of a secret, and where it is. Its value is no part of a program, a plan, a store or an image. */
export type Secret = RecordOf<SecretFields, "name">;

/** Where a secret is, as people write it; nothing: the usual places. */
export type SecretPlace =
  | { readonly environment: string }
  | { readonly file: string }
  | { readonly command: readonly string[] }
  | { readonly age: string; readonly identity?: string };

const aSource: Check = (value) => {
  const source = value as SecretSource | null;
  const kinds = ["usual", "environment", "file", "command", "age"];
  const wrongKind = aWord(kinds)(source?.kind);
  if (wrongKind.length > 0 || !source) return wrongKind;
  if (source.kind === "environment") return aVariable(source.variable);
  if (source.kind === "command") {
    const isCommand = Array.isArray(source.command) && source.command.length > 0;
    const words = isCommand && source.command.every((word) => typeof word === "string" && !word.includes("\0"));
    return words ? [] : [{ code: "wrong-value", what: "found no command", expected: '["pass", "show", "name"]' }];
  }
  return source.kind === "usual" ? [] : aFile(source.path);
};

const aVariable = aString("the name of a variable", (name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
const aFile = aString("a path", (path) => path !== "" && !path.includes("\0"));

const secretRecord = recordType<SecretFields, "name">({
  kind: "secret",
  defaults: () => ({ source: { kind: "usual" } }),
  fields: {
    name: aString("letters, digits and hyphens", (name) => /^[A-Za-z0-9-]{1,60}$/.test(name)),
    source: aSource,
  },
  // What is written into a string would be kept in the store; the name alone would be no secret, and of no use there.
  hidden: { toString: { value: refuseText }, toJSON: { value: refuseText } },
});

/**
 * A secret by name: `secret("pve-token")` is looked up in the usual places when it is needed (see `SecretSource`), or
 * where it is said to be: `secret("munge-key", { age: "secrets/munge.age" })`, `{ command: ["pass", "show", "munge"] }`,
 * `{ file: "~/munge.key" }`, `{ environment: "MUNGE_KEY" }`.
 */
export function secret(name: string, place?: SecretPlace): Secret {
  return relocated(secretRecord({ name, ...(place && { source: sourceOf(place) }) }), callerLocation(secret));
}

function sourceOf(place: SecretPlace): SecretSource {
  if ("environment" in place) return { kind: "environment", variable: place.environment };
  if ("file" in place) return { kind: "file", path: place.file };
  if ("command" in place) return { kind: "command", command: place.command };
  return { kind: "age", path: place.age, identity: place.identity };
}

function refuseText(this: Secret): never {
  const where = callerLocation(refuseText);
  throw failure("secret-in-text", `the secret ${this.name} cannot be written into text`, {
    ...(where && { where }),
    expected: "an option that takes a secret itself",
  });
}
