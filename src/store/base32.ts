import { failure } from "../base/error.ts";

/** Digits and small letters without e, o, u, t: the alphabet that Nix and Guix share. */
export const base32Alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
const alphabet = base32Alphabet;

/**
 * Base-32 of store paths: the bytes are one little-endian integer, written with its most significant group
 * of five bits first (Nix, `src/libutil/base-nix-32.cc`; Guix, `guix/base32.scm`).
 */
export function toBase32(bytes: Uint8Array): string {
  let text = "";
  for (let n = Math.ceil((bytes.length * 8) / 5) - 1; n >= 0; n--) {
    const bit = n * 5;
    const index = bit >> 3;
    const pair = bytes[index]! | ((bytes[index + 1] ?? 0) << 8);
    text += alphabet[(pair >> (bit & 7)) & 31];
  }
  return text;
}

/**
 * The bytes of a base-32 text.
 *
 * @throws MesoError `bad-base32` for a foreign character or when leftover bits are not zero.
 */
export function fromBase32(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  for (let n = 0; n < text.length; n++) {
    const digit = alphabet.indexOf(text[text.length - 1 - n]!);
    if (digit < 0) throw badBase32(text, `the characters ${alphabet}`);
    const bit = n * 5;
    const index = bit >> 3;
    const shifted = digit << (bit & 7);
    if (index < bytes.length) bytes[index]! |= shifted & 255;
    else if ((shifted & 255) !== 0) throw badBase32(text, "no bits beyond the last whole byte");
    if (index + 1 < bytes.length) bytes[index + 1]! |= shifted >> 8;
    else if (shifted >> 8 !== 0) throw badBase32(text, "no bits beyond the last whole byte");
  }
  return bytes;
}

function badBase32(text: string, expected: string) {
  return failure("bad-base32", `${JSON.stringify(text)} is not base-32 text`, { expected });
}
