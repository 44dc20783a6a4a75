import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { fromBase32, toBase32 } from "./base32.ts";

/** What a binary cache says of an item, as Nix's caches do: one `<hash>.narinfo` file each. */
export interface NarInfo {
  /** Full path of the item. */
  readonly storePath: string;
  /** Of the compressed archive, relative to the cache. */
  readonly url: string;
  /** `none`, `xz`, `zstd`, `gzip` */
  readonly compression: string;
  /** Of the compressed file; hexadecimal SHA-256, bytes. */
  readonly fileHash?: string;
  readonly fileSize?: number;
  /** Of the archive; hexadecimal SHA-256, bytes. */
  readonly narHash: string;
  readonly narSize: number;
  /** Full paths. */
  readonly references: readonly string[];
  /** Base name of the derivation that made it. */
  readonly deriver?: string;
  /** `NAME:BASE64` */
  readonly signatures: readonly string[];
}

/** A public key of a cache and its name; `NAME:BASE64` in settings. */
export interface CachePublicKey {
  readonly name: string;
  readonly key: KeyObject;
}

export function printNarInfo(info: NarInfo): string {
  const baseNames = sortedBy(info.references.map(baseName), (name) => name).join(" ");
  const lines: readonly (readonly [string, string | undefined])[] = [
    ["StorePath", info.storePath],
    ["URL", info.url],
    ["Compression", info.compression],
    ["FileHash", info.fileHash && `sha256:${hashText(info.fileHash)}`],
    ["FileSize", info.fileSize?.toString()],
    ["NarHash", `sha256:${hashText(info.narHash)}`],
    ["NarSize", String(info.narSize)],
    ["References", baseNames],
    ["Deriver", info.deriver],
    ...info.signatures.map((signature) => ["Sig", signature] as const),
  ];
  return lines.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\n`])).join("");
}

/**
 * Reads what a cache says of an item. Unknown fields are passed over, as Nix does.
 *
 * @throws MesoError `bad-narinfo` for a text that is too long, lacks a field or has one that does not fit.
 */
export function parseNarInfo(text: string): NarInfo {
  if (text.length > maxLength) throw bad(`${text.length} characters`, `at most ${maxLength}`);
  const fields = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const match = /^([A-Za-z]+): ?(.*)$/.exec(line);
    if (!match) throw bad(`the line ${JSON.stringify(line.slice(0, 80))}`, "NAME: VALUE");
    fields.set(match[1]!, [...(fields.get(match[1]!) ?? []), match[2]!]);
  }
  const optional = (name: string): string | undefined => {
    const values = fields.get(name) ?? [];
    if (values.length > 1) throw bad(`${name} twice`, "it once");
    return values[0];
  };
  const required = (name: string): string => {
    const value = optional(name);
    if (value === undefined) throw bad(`no ${name}`, `${name}: …`);
    return value;
  };
  const storePath = required("StorePath");
  const item = /^(\/.*)\/([0-9a-z]{32}-[0-9A-Za-z+\-._?=]+)$/.exec(storePath);
  if (!item) throw bad(`the StorePath ${JSON.stringify(storePath)}`, "/STORE/HASH-NAME");
  const references = required("References").split(" ").filter(Boolean);
  for (const name of references) {
    if (!/^[0-9a-z]{32}-[0-9A-Za-z+\-._?=]+$/.test(name))
      throw bad(`the reference ${JSON.stringify(name)}`, "HASH-NAME");
  }
  const fileHash = optional("FileHash");
  const fileSize = optional("FileSize");
  const deriver = optional("Deriver");
  return {
    storePath,
    url: required("URL"),
    compression: optional("Compression") ?? "bzip2",
    ...(fileHash !== undefined && { fileHash: readHash(fileHash) }),
    ...(fileSize !== undefined && { fileSize: readSize("FileSize", fileSize) }),
    narHash: readHash(required("NarHash")),
    narSize: readSize("NarSize", required("NarSize")),
    references: references.map((name) => `${item[1]}/${name}`),
    ...(deriver !== undefined && deriver !== "unknown-deriver" && { deriver }),
    signatures: fields.get("Sig") ?? [],
  };
}

/** What a signature covers: what the item is and what it refers to, not where or how it is packed. */
export function fingerprint({ storePath, narHash, narSize, references }: NarInfo): string {
  const sorted = sortedBy(references, (reference) => reference);
  return `1;${storePath};sha256:${hashText(narHash)};${narSize};${sorted.join(",")}`;
}

/** The item signed with a secret key as Nix keeps it (`NAME:BASE64` of 64 bytes: seed and public key). */
export function signNarInfo(info: NarInfo, secretKey: string): NarInfo {
  const { name, bytes } = namedKey(secretKey, 64, "a secret key");
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, bytes.subarray(0, 32)]),
    format: "der",
    type: "pkcs8",
  });
  const signature = `${name}:${sign(null, Buffer.from(fingerprint(info)), key).toString("base64")}`;
  return { ...info, signatures: [...info.signatures.filter((other) => other !== signature), signature] };
}

/** The public key in `NAME:BASE64`. @throws MesoError `bad-cache-key`. */
export function readPublicKey(text: string): CachePublicKey {
  const { name, bytes } = namedKey(text, 32, "a public key");
  return { name, key: createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: "der", type: "spki" }) };
}

/** The name of the first trusted key that signed the item; undefined when none did. */
export function signerOf(info: NarInfo, trusted: readonly CachePublicKey[]): string | undefined {
  const message = Buffer.from(fingerprint(info));
  return trusted.find(({ name, key }) =>
    info.signatures.some((signature) => {
      const colon = signature.indexOf(":");
      if (signature.slice(0, colon) !== name) return false;
      const bytes = Buffer.from(signature.slice(colon + 1), "base64");
      return bytes.length === 64 && verify(null, message, key, bytes);
    }),
  )?.name;
}

/** A new secret key and its public half, both in `NAME:BASE64`, from 32 random bytes. */
export function makeCacheKey(name: string, seed: Uint8Array): { readonly secret: string; readonly public: string } {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  return {
    secret: `${name}:${Buffer.concat([seed, raw]).toString("base64")}`,
    public: `${name}:${raw.toString("base64")}`,
  };
}

/** Characters. */
const maxLength = 1 << 20;

/** What stands before the 32 bytes of an Ed25519 key in DER (RFC 8410, sections 4 and 7). */
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

function namedKey(text: string, length: number, what: string): { name: string; bytes: Buffer } {
  const match = /^([A-Za-z0-9._-]+):([A-Za-z0-9+/]+={0,2})$/.exec(text.trim());
  const bytes = Buffer.from(match?.[2] ?? "", "base64");
  if (match && bytes.length === length) return { name: match[1]!, bytes };
  // The text itself may be secret.
  throw failure("bad-cache-key", `this is not ${what} of a binary cache`, {
    expected: `NAME:BASE64 of ${length} bytes`,
  });
}

function hashText(hex: string): string {
  return toBase32(Buffer.from(hex, "hex"));
}

function readHash(text: string): string {
  const match = /^sha256:(?:([0-9a-z]{52})|([0-9a-f]{64}))$/.exec(text);
  if (!match) throw bad(`the hash ${JSON.stringify(text.slice(0, 80))}`, "sha256: and 52 digits of base-32");
  return match[2] ?? Buffer.from(fromBase32(match[1]!)).toString("hex");
}

function readSize(name: string, text: string): number {
  const size = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(size)) return size;
  throw bad(`the ${name} ${JSON.stringify(text.slice(0, 40))}`, "a number of bytes");
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function bad(what: string, expected: string) {
  return failure("bad-narinfo", `found ${what} in the description of a store item`, { expected });
}
