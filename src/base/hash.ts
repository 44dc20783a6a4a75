import { hash } from "node:crypto";
import { canonicalJson } from "./canonical.ts";

/** SHA-256 of bytes or of a string's UTF-8, as 64 lower-case hexadecimal digits. */
export function sha256(data: string | Uint8Array): string {
  return hash("sha256", data, "hex");
}

/** SHA-256 of a value's canonical JSON. */
export function hashOf(value: unknown): string {
  return sha256(canonicalJson(value));
}
