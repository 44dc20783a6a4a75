import { base32Alphabet } from "./base32.ts";

/** Length of the hash in a store path's name, in characters. */
const hashLength = 32;

/**
 * Looks for the hashes of store paths (Dolstra 2006, section 5.5) in bytes that come in pieces of any size. What is
 * found is what an item may need when it is used: a hash that does not occur in it cannot be asked for.
 */
export function referenceScanner(hashes: Iterable<string>): {
  /** The piece is only read during the call. */
  readonly pass: (piece: Uint8Array) => void;
  readonly found: ReadonlySet<string>;
} {
  const wanted = new Set(hashes);
  const starts = new Set([...wanted].map((hash) => hash.slice(0, 4)).map((start) => firstFour(Buffer.from(start), 0)));
  const found = new Set<string>();
  let tail: Uint8Array = new Uint8Array(0);

  const search = (bytes: Uint8Array): void => {
    /** The last byte of the window before this one, when that was a hash's alphabet throughout. */
    let checked = -1;
    for (let end = hashLength - 1; end < bytes.length; ) {
      const before = end - hashLength;
      let at = end;
      while (at > before && at > checked && isDigit[bytes[at]!]) at--;
      if (at > before && at > checked) {
        // No window holds this byte: most of the text is never looked at.
        end = at + hashLength;
        continue;
      }
      if (starts.has(firstFour(bytes, before + 1))) {
        const text = Buffer.from(bytes.buffer, bytes.byteOffset + before + 1, hashLength).toString("latin1");
        if (wanted.has(text)) found.add(text);
      }
      checked = end++;
    }
  };
  return {
    found,
    pass: (piece) => {
      const seam = Buffer.concat([tail, piece.subarray(0, hashLength - 1)]);
      if (tail.length > 0) search(seam);
      search(piece);
      tail = piece.length >= hashLength - 1 ? piece.slice(1 - hashLength) : seam.subarray(1 - hashLength);
    },
  };
}

const isDigit = new Uint8Array(256);
for (const digit of Buffer.from(base32Alphabet)) isDigit[digit] = 1;

function firstFour(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
