import { failure } from "../base/error.ts";
import { fromBase32, toBase32 } from "../store/base32.ts";

/**
 * A SHA-256 as people write it, as 64 hexadecimal digits: those themselves, base-32 as Nix and Guix print it, or
 * `sha256-` and base-64 (Subresource Integrity).
 *
 * @throws MesoError `bad-hash` on anything else.
 */
export function parseSha256(text: string, field = "sha256"): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  if (/^[0-9a-df-np-sv-z]{52}$/.test(text)) return Buffer.from(fromBase32(text)).toString("hex");
  if (/^sha256-[A-Za-z0-9+/]{43}=$/.test(text)) return Buffer.from(text.slice(7), "base64").toString("hex");
  throw failure("bad-hash", `found ${JSON.stringify(text.slice(0, 80))}`, {
    field,
    expected: "a SHA-256: 64 hexadecimal digits, 52 of base-32, or sha256- and base-64",
    hint: "`meso hash FILE` or `meso download URL` prints it",
  });
}

/** The same in every form that `parseSha256` takes. */
export function sha256Forms(hex: string): { readonly hex: string; readonly base32: string; readonly sri: string } {
  const bytes = Buffer.from(hex, "hex");
  return { hex, base32: toBase32(bytes), sri: `sha256-${bytes.toString("base64")}` };
}
