import { createHash } from "node:crypto";
import { basename } from "node:path";
import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { toBase32 } from "./base32.ts";

/** Where items are inside images and sandboxes, whatever the physical place of the store. */
export const logicalStore = "/meso/store";

/**
 * The path of a text, which names its contents and what it refers to (Nix: "text" paths; every `.drv` too).
 *
 * @throws MesoError `bad-store-name` when `name` cannot be part of a path.
 */
export function textPath(
  name: string,
  contents: string | Uint8Array,
  references: readonly string[] = [],
  store = logicalStore,
): string {
  const type = ["text", ...sortedBy(references, (reference) => reference)].join(":");
  return storePath(type, sha256(contents), name, store);
}

/**
 * The path of a file or tree whose NAR has the given SHA-256 (hexadecimal): "source" paths, which are also
 * the outputs of derivations that are fixed by a recursive SHA-256.
 */
export function sourcePath(
  name: string,
  narSha256: string,
  references: readonly string[] = [],
  store = logicalStore,
): string {
  const type = ["source", ...sortedBy(references, (reference) => reference)].join(":");
  return storePath(type, narSha256, name, store);
}

/** The path of an output fixed by any other hash; `algorithm` as in `sha256`, `digest` hexadecimal. */
export function fixedOutputPath(
  name: string,
  { recursive, algorithm, digest }: { recursive: boolean; algorithm: string; digest: string },
  store = logicalStore,
): string {
  if (recursive && algorithm === "sha256") return sourcePath(name, digest, [], store);
  const inner = sha256(`fixed:out:${recursive ? "r:" : ""}${algorithm}:${digest}:`);
  return storePath("output:out", inner, name, store);
}

/**
 * The general rule: `type` and `inner` (hexadecimal SHA-256) make the fingerprint whose hash, folded to 20
 * bytes, names the item.
 *
 * @throws MesoError `bad-store-name` when `name` cannot be part of a path.
 */
export function storePath(type: string, inner: string, name: string, store = logicalStore): string {
  checkName(name);
  const digest = createHash("sha256").update(`${type}:sha256:${inner}:${store}:${name}`).digest();
  return `${store}/${toBase32(folded(digest))}-${name}`;
}

/** Whether a text has the form of an item's base name: 32 characters of base-32, a hyphen, a name. */
export function isItemName(text: string): boolean {
  return /^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}$/.test(text);
}

/** `hello-2.10` of the path of an item or of its derivation. */
export function nameOfPath(path: string): string {
  return basename(path)
    .slice(33)
    .replace(/\.drv$/, "");
}

/** XOR of the bytes into a shorter digest: what Nix calls compression. */
function folded(digest: Uint8Array): Uint8Array {
  const short = new Uint8Array(20);
  digest.forEach((byte, i) => {
    short[i % 20]! ^= byte;
  });
  return short;
}

/** Names as Nix allows them: neither hidden, nor with characters that a path or a shell would mangle. */
function checkName(name: string): void {
  if (/^[0-9A-Za-z+\-_?=][0-9A-Za-z+\-._?=]{0,210}$/.test(name)) return;
  throw failure("bad-store-name", `${JSON.stringify(name)} cannot name a store item`, {
    expected: "1 to 211 letters, digits or + - . _ ? =, not starting with a dot",
  });
}
