/** What the store knows of a valid item. */
export interface ItemRecord {
  /** Logical. */
  readonly path: string;
  /** SHA-256 of its archive, hexadecimal. */
  readonly narSha256: string;
  /** Length of its archive in bytes. */
  readonly narSize: number;
  /** Logical paths of the items that it needs, sorted; itself too where it names itself. */
  readonly references: readonly string[];
  /** Logical path of the derivation that made it. */
  readonly deriver?: string;
  /** Of others, for who gets it from here: `NAME:BASE64`, as in a cache's description of it. */
  readonly signatures?: readonly string[];
  /** Seconds since 1970. */
  readonly registeredSeconds: number;
}

/**
 * The record of `path` in a file's text; undefined where it is damaged: what no record vouches for is made again, and
 * `verify` tells.
 */
export function parseItemRecord(text: string, path: string): ItemRecord | undefined {
  let value: Partial<Record<keyof ItemRecord, unknown>> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { narSha256, narSize, references, deriver, signatures, registeredSeconds } = value;
  const isWhole =
    value.path === path &&
    typeof narSha256 === "string" &&
    /^[0-9a-f]{64}$/.test(narSha256) &&
    Number.isSafeInteger(narSize) &&
    Number.isSafeInteger(registeredSeconds) &&
    Array.isArray(references) &&
    references.every((reference) => typeof reference === "string") &&
    (deriver === undefined || typeof deriver === "string") &&
    (signatures === undefined || (Array.isArray(signatures) && signatures.every((one) => typeof one === "string")));
  return isWhole ? (value as unknown as ItemRecord) : undefined;
}
