/**
 * The hash of a file name that orders an indexed directory: half MD4 over unsigned bytes ("ext4 Data Structures and
 * Algorithms", section "Hash Tree Directories"; the rounds are those of MD4, RFC 1320, cut down to eight words and
 * eight steps each). The lowest bit is always 0.
 *
 * @param nameBytes Length of the name in UTF-8, at most 255.
 * @param seed The four words of `s_hash_seed`; all zero means MD4's own start values.
 */
export function nameHash(name: string, nameBytes: number, seed: readonly number[]): number {
  encodeName(name, nameBytes);
  const start = seed.some((word) => word !== 0) ? seed : md4Start;
  for (let i = 0; i < 4; i++) state[i] = start[i]!;
  for (let at = 0; at < nameBytes; at += 32) {
    fillWords(at, nameBytes);
    mix();
  }
  const hash = (state[1]! & ~1) >>> 0;
  return hash === endOfDirectory ? endOfDirectory - 2 : hash;
}

/** Room to work in, as thousands of names are hashed one after the other. */
const encoded = Buffer.alloc(256);
const words = new Int32Array(8);
const state = new Int32Array(4);

function encodeName(name: string, nameBytes: number): void {
  if (name.length === nameBytes) for (let i = 0; i < nameBytes; i++) encoded[i] = name.charCodeAt(i);
  else encoded.write(name);
}

const md4Start = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
/** Readers of a directory use this position for its end, so no name may have it. */
const endOfDirectory = 0xfffffffe;

/** Up to 32 bytes of the name from `at` on, as big-endian words; the rest holds the remaining length, repeated. */
function fillWords(at: number, nameBytes: number): void {
  const remaining = nameBytes - at;
  const padding = Math.imul(remaining & 0xff, 0x01010101);
  const length = Math.min(remaining, 32);
  for (let word = 0; word < 8; word++) {
    let value = padding;
    for (let i = word * 4; i < word * 4 + 4 && i < length; i++) value = encoded[at + i]! + (value << 8);
    words[word] = value;
  }
}

function mix(): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  for (let i = 0; i < 24; i++) {
    const mixed = i < 8 ? d ^ (b & (c ^ d)) : i < 16 ? (b & c) + ((b ^ c) & d) : b ^ c ^ d;
    const sum = (a + mixed + words[wordOrder[i]!]! + constants[i >> 3]!) | 0;
    const turn = turns[((i >> 3) << 2) | (i & 3)]!;
    a = d;
    d = c;
    c = b;
    b = (sum << turn) | (sum >>> (32 - turn));
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
  state[2] = state[2]! + c;
  state[3] = state[3]! + d;
}

/** For each of the three rounds: the order of the words, the constant that is added, the turns of four steps. */
const wordOrder = Uint8Array.of(...[0, 1, 2, 3, 4, 5, 6, 7], ...[1, 3, 5, 7, 0, 2, 4, 6], ...[3, 7, 2, 6, 1, 5, 0, 4]);
const constants = [0, 0x5a827999, 0x6ed9eba1];
const turns = Uint8Array.of(...[3, 7, 11, 19], ...[3, 5, 9, 13], ...[3, 9, 11, 15]);
