import { failure } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";

/** What is found in an archive, in its order. Names are single components; the root's is "". */
export interface NarSink {
  readonly openDirectory: (name: string) => void;
  readonly closeDirectory: () => void;
  readonly symlink: (name: string, target: Uint8Array) => void;
  /** `data` is called with pieces that are only valid during the call; then `closeFile`. */
  readonly openFile: (name: string, size: number, isExecutable: boolean) => void;
  readonly data: (piece: Uint8Array) => void;
  readonly closeFile: () => void;
}

/**
 * Reads a Nix archive (Dolstra 2006, section 5.2.1) from pieces of any size, with flat memory. Strict: what `writeNar`
 * would not write is refused, so that an archive's hash and a tree's are one.
 *
 * @throws MesoError `bad-nar` with the byte at which it does not read on.
 */
export async function readNar(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, sink: NarSink): Promise<void> {
  const input = byteReader(pieces);
  await readNarWithin(input, sink);
  await input.end();
}

/** The same for an archive that more follows. */
export async function readNarWithin(input: ByteReader, sink: NarSink): Promise<void> {
  await input.expect("nix-archive-1");
  await readNode(input, sink, "", 0);
}

/** Deeper than any sensible tree, and short enough for a path of 4,096 bytes with a store in front. */
const maxDepth = 512;
/** Bytes: NAME_MAX and PATH_MAX of Linux. */
const maxName = 255;
const maxTarget = 4095;

async function readNode(input: ByteReader, sink: NarSink, name: string, depth: number): Promise<void> {
  if (depth > maxDepth) throw input.bad(`at most ${maxDepth} directories within each other`);
  await input.expect("(");
  await input.expect("type");
  const type = await input.text(16);
  if (type === "regular") await readFile(input, sink, name);
  else if (type === "symlink") {
    await input.expect("target");
    const target = await input.string(maxTarget);
    if (target.length === 0 || target.includes(0)) throw input.bad("a link's target");
    sink.symlink(name, target);
    await input.expect(")");
  } else if (type === "directory") {
    sink.openDirectory(name);
    await readEntries(input, sink, depth);
    sink.closeDirectory();
  } else throw input.bad("regular, symlink or directory");
}

async function readFile(input: ByteReader, sink: NarSink, name: string): Promise<void> {
  let word = await input.text(16);
  const isExecutable = word === "executable";
  if (isExecutable) {
    await input.expect("");
    word = await input.text(16);
  }
  if (word !== "contents") throw input.bad("contents");
  const size = await input.length(Number.MAX_SAFE_INTEGER);
  sink.openFile(name, size, isExecutable);
  await input.pass(size, sink.data);
  await input.padding(size);
  sink.closeFile();
  await input.expect(")");
}

async function readEntries(input: ByteReader, sink: NarSink, depth: number): Promise<void> {
  let last: string | undefined;
  for (;;) {
    const word = await input.text(16);
    if (word === ")") return;
    if (word !== "entry") throw input.bad('entry or ")"');
    await input.expect("(");
    await input.expect("name");
    const name = entryName(input, await input.string(maxName));
    if (last !== undefined && compareBytes(last, name) >= 0)
      throw input.bad("entries sorted by their bytes, each once");
    last = name;
    await input.expect("node");
    await readNode(input, sink, name, depth + 1);
    await input.expect(")");
  }
}

function entryName(input: ByteReader, bytes: Uint8Array): string {
  const name = utf8(bytes);
  if (name === undefined) throw input.bad("a name in UTF-8");
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) throw input.bad("a name of one component");
  return name;
}

export type ByteReader = ReturnType<typeof byteReader>;

/**
 * Reads what archives are made of from pieces of any size.
 *
 * @param onRead called with everything as it is read; pieces are only valid during the call.
 */
export function byteReader(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  onRead: (piece: Uint8Array) => void = () => {},
) {
  const iterator = asyncIterator(pieces);
  let piece: Uint8Array = new Uint8Array(0);
  let at = 0;
  let passed = 0;
  const bad = (expected: string) =>
    failure("bad-nar", `the archive does not read on at byte ${passed + at}`, { expected });
  /** False at the end. */
  const more = async (): Promise<boolean> => {
    while (at === piece.length) {
      const next = await iterator.next();
      if (next.done) return false;
      passed += piece.length;
      piece = next.value;
      at = 0;
    }
    return true;
  };
  const pass = async (length: number, take: (part: Uint8Array) => void): Promise<void> => {
    for (let left = length; left > 0; ) {
      if (!(await more())) throw bad(`${left} more bytes`);
      const part = piece.subarray(at, at + left);
      onRead(part);
      take(part);
      at += part.length;
      left -= part.length;
    }
  };
  const bytes = async (length: number): Promise<Uint8Array> => {
    if (piece.length - at >= length) {
      at += length;
      const part = piece.subarray(at - length, at);
      onRead(part);
      return part;
    }
    const joined = new Uint8Array(length);
    let done = 0;
    await pass(length, (part) => {
      joined.set(part, done);
      done += part.length;
    });
    return joined;
  };
  const length = async (most: number): Promise<number> => {
    const field = await bytes(8);
    const value = new DataView(field.buffer, field.byteOffset, 8).getBigUint64(0, true);
    if (value > BigInt(most)) throw bad(`a length of at most ${most}`);
    return Number(value);
  };
  const padding = async (size: number): Promise<void> => {
    const fill = await bytes(-size & 7);
    if (fill.some((byte) => byte !== 0)) throw bad("zeros as padding");
  };
  const string = async (most: number): Promise<Uint8Array> => {
    const size = await length(most);
    const value = Uint8Array.from(await bytes(size));
    await padding(size);
    return value;
  };
  const text = async (most: number): Promise<string> => Buffer.from(await string(most)).toString("latin1");
  return {
    bad,
    pass,
    length,
    padding,
    string,
    text,
    expect: async (word: string): Promise<void> => {
      const size = await length(Number.MAX_SAFE_INTEGER);
      if (size !== word.length || Buffer.from(await bytes(size)).toString("latin1") !== word) {
        throw bad(JSON.stringify(word));
      }
      await padding(size);
    },
    end: async (): Promise<void> => {
      if (await more()) throw bad("the end");
    },
  };
}

function asyncIterator(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  if (Symbol.asyncIterator in pieces) return pieces[Symbol.asyncIterator]();
  const iterator = pieces[Symbol.iterator]();
  return { next: async () => iterator.next() };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
