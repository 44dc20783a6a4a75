import { sha256 } from "../base/hash.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { fixedOutputPath, logicalStore, storePath, textPath } from "./store-path.ts";

/**
 * How a store item is made: a program, its arguments and environment, and everything it may see. The format, and the way
 * outputs are named, are those that Nix and Guix share (Dolstra 2006, section 5.4), so that their tools can check ours.
 */
export interface Derivation {
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  /** Path of the derivation that makes an input → names of its outputs that are wanted. */
  readonly inputDerivations: ReadonlyMap<string, readonly string[]>;
  /** Store paths that are there already. */
  readonly inputSources: readonly string[];
  /** `x86_64-linux` */
  readonly system: string;
  readonly builder: string;
  readonly arguments: readonly string[];
  readonly environment: ReadonlyMap<string, string>;
}

export interface DerivationOutput {
  /** Empty while it is worked out. */
  readonly path: string;
  /** What its contents must be, when that is known beforehand. */
  readonly fixed?: FixedHash;
}

export interface FixedHash {
  /** Whether the hash is that of the archive (NAR) of the output, or of a flat file. */
  readonly recursive: boolean;
  /** `sha256` */
  readonly algorithm: string;
  /** Hexadecimal. */
  readonly digest: string;
}

/** Gives the derivation at a path: hashes of inputs are hashes of how they are made. */
export type ReadDerivation = (path: string) => Derivation;

/** The text of a `.drv` file: an ATerm without spaces, everything that is a set sorted by its bytes. */
export function printDerivation(derivation: Derivation): string {
  const outputs = sortedBy(derivation.outputs, ([name]) => name).map(([name, { path, fixed }]) =>
    tuple(name, path, fixed ? `${fixed.recursive ? "r:" : ""}${fixed.algorithm}` : "", fixed?.digest ?? ""),
  );
  const inputs = sortedBy(derivation.inputDerivations, ([path]) => path).map(
    ([path, names]) => `(${quoted(path)},${list(sorted(names).map(quoted))})`,
  );
  const environment = sortedBy(derivation.environment, ([name]) => name).map(([name, value]) => tuple(name, value));
  const parts = [
    list(outputs),
    list(inputs),
    list(sorted(derivation.inputSources).map(quoted)),
    quoted(derivation.system),
    quoted(derivation.builder),
    list(derivation.arguments.map(quoted)),
    list(environment),
  ];
  return `Derive(${parts.join(",")})`;
}

/** Where the `.drv` file itself lies: a text, which refers to its inputs. */
export function derivationPath(name: string, derivation: Derivation, store = logicalStore): string {
  const references = [...derivation.inputDerivations.keys(), ...derivation.inputSources];
  return textPath(`${name}.drv`, printDerivation(derivation), [...new Set(references)], store);
}

/**
 * The derivation with the paths of its outputs filled in, in the outputs and in the environment variables of their
 * names.
 */
export function withOutputPaths(
  name: string,
  derivation: Derivation,
  read: ReadDerivation,
  store = logicalStore,
): Derivation {
  const masked = masking(read, (input) => maskedHash(input, masked));
  const own = hashOfMasked(derivation, masked, true);
  const outputs = new Map<string, DerivationOutput>();
  const environment = new Map(derivation.environment);
  for (const [output, { fixed }] of derivation.outputs) {
    const path = fixed
      ? fixedOutputPath(outputName(name, output), fixed, store)
      : storePath(`output:${output}`, own, outputName(name, output), store);
    outputs.set(output, { path, ...(fixed && { fixed }) });
    environment.set(output, path);
  }
  return { ...derivation, outputs, environment };
}

/**
 * SHA-256 (hexadecimal) that stands for a derivation where it is an input: of what is made, when that is fixed, so that
 * another mirror or builder of the same bytes changes nothing downstream; else of the whole text with inputs so
 * replaced.
 */
export function derivationHash(derivation: Derivation, read: ReadDerivation): string {
  const masked = masking(read, (input) => maskedHash(input, masked));
  return maskedHash(derivation, masked);
}

type Masked = (path: string) => string;

/** Each input is hashed once, however many derivations share it. */
function masking(read: ReadDerivation, hash: (derivation: Derivation) => string): Masked {
  const known = new Map<string, string>();
  return (path) => {
    const found = known.get(path);
    if (found !== undefined) return found;
    const fresh = hash(read(path));
    known.set(path, fresh);
    return fresh;
  };
}

function maskedHash(derivation: Derivation, masked: Masked): string {
  const [only] = derivation.outputs.values();
  if (derivation.outputs.size === 1 && only?.fixed) {
    const { recursive, algorithm, digest } = only.fixed;
    return sha256(`fixed:out:${recursive ? "r:" : ""}${algorithm}:${digest}:${only.path}`);
  }
  // As an input, a derivation keeps the paths of its own outputs: only so are Nix's and Guix's values met.
  return hashOfMasked(derivation, masked, false);
}

function hashOfMasked(derivation: Derivation, masked: Masked, blank: boolean): string {
  const inputDerivations = new Map<string, string[]>();
  for (const [path, names] of derivation.inputDerivations) {
    const hash = masked(path);
    // Inputs that are made alike are one: their wanted outputs are united.
    inputDerivations.set(hash, [...new Set([...(inputDerivations.get(hash) ?? []), ...names])]);
  }
  if (!blank) return sha256(printDerivation({ ...derivation, inputDerivations }));
  const outputs = new Map([...derivation.outputs].map(([name, output]) => [name, { ...output, path: "" }]));
  const environment = new Map(derivation.environment);
  for (const name of outputs.keys()) environment.set(name, "");
  return sha256(printDerivation({ ...derivation, inputDerivations, outputs, environment }));
}

function outputName(name: string, output: string): string {
  return output === "out" ? name : `${name}-${output}`;
}

function tuple(...texts: readonly string[]): string {
  return `(${texts.map(quoted).join(",")})`;
}

function list(items: readonly string[]): string {
  return `[${items.join(",")}]`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\\n\r\t]/g, (character) => escapes[character]!)}"`;
}

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort(compareBytes);
}
