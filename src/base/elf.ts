import { failure } from "./error.ts";

/** What the dynamic linker reads of an ELF file, and what a lint or a tool root needs to know of it. */
export interface ElfFile {
  readonly bits: 32 | 64;
  /** `e_machine`: 62 is x86-64, 183 AArch64, 243 RISC-V. */
  readonly machine: number;
  readonly type: "relocatable" | "executable" | "shared" | "other";
  /** The dynamic linker that the kernel starts, absent for libraries and static programs. */
  readonly interpreter?: string;
  readonly soname?: string;
  /** In the file's order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH, split at colons; `$ORIGIN` is left as written. */
  readonly runpath: readonly string[];
  /** DT_RPATH, which counts only where there is no DT_RUNPATH. */
  readonly rpath: readonly string[];
}

/** The bytes of a file of which only a part will be asked for. */
export interface ElfBytes {
  readonly length: number;
  /** Bytes from `offset` on, all within the file. */
  readonly range: (offset: number, length: number) => Uint8Array;
}

/** Whether the bytes start as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Reads headers and the dynamic section of an ELF file (System V ABI, chapters 4 and 5), through the
 * program headers only, as the dynamic linker does: section headers may be stripped.
 *
 * @param name names the file in errors.
 * @throws MesoError `bad-elf` where the bytes contradict themselves or end too early.
 */
export function readElf(bytes: Uint8Array | ElfBytes, name: string): ElfFile {
  const whole = bytes instanceof Uint8Array;
  const reader = elfReader(
    whole ? { length: bytes.length, range: (at, size) => bytes.subarray(at, at + size) } : bytes,
    name,
  );
  const segments = readProgramHeaders(reader);
  const interpreter = segments.find((segment) => segment.type === ptInterp);
  const dynamic = readDynamic(reader, segments);
  const type = reader.u16(16);
  return {
    bits: reader.bits,
    machine: reader.u16(18),
    type: type === 1 ? "relocatable" : type === 2 ? "executable" : type === 3 ? "shared" : "other",
    ...(interpreter && { interpreter: reader.text(interpreter.offset, interpreter.offset + interpreter.fileSize) }),
    ...dynamic,
  };
}

const ptLoad = 1;
const ptDynamic = 2;
const ptInterp = 3;
const dtNeeded = 1;
const dtStrtab = 5;
const dtSoname = 14;
const dtRpath = 15;
const dtRunpath = 29;

/** Real files stay far below; a hostile one must not make us collect without end. */
const maxDynamicEntries = 4096;
const maxProgramHeaders = 1024;
const maxTextBytes = 4096;

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

type ElfReader = ReturnType<typeof elfReader>;

function elfReader(bytes: ElfBytes, name: string) {
  const bad = (what: string) => failure("bad-elf", `${name}: ${what}`, { expected: "a whole ELF file" });
  const identification = bytes.range(0, Math.min(16, bytes.length));
  if (!isElf(identification)) throw bad("is not an ELF file");
  if (bytes.length < 52) throw bad("ends within the ELF header");
  const fileClass = identification[4];
  const order = identification[5];
  if (fileClass !== 1 && fileClass !== 2) throw bad(`has the ELF class ${fileClass}`);
  if (order !== 1 && order !== 2) throw bad(`has the byte order ${order}`);
  const little = order === 1;
  const view = (offset: number, length: number): DataView => {
    if (!(offset >= 0 && offset + length <= bytes.length)) throw bad(`points at byte ${offset}, beyond its end`);
    const { buffer, byteOffset } = bytes.range(offset, length);
    return new DataView(buffer, byteOffset, length);
  };
  const u16 = (offset: number) => view(offset, 2).getUint16(0, little);
  const u32 = (offset: number) => view(offset, 4).getUint32(0, little);
  /** An address or offset in the file's own width; beyond 2^53 it is rounded, and so out of range anyway. */
  const word = (offset: number) => (fileClass === 1 ? u32(offset) : Number(view(offset, 8).getBigUint64(0, little)));
  const text = (offset: number, end: number) => {
    if (!(offset >= 0 && offset < bytes.length)) throw bad(`points at byte ${offset}, beyond its end`);
    const piece = bytes.range(offset, Math.min(end, bytes.length, offset + maxTextBytes) - offset);
    const stop = piece.indexOf(0);
    if (stop < 0) throw bad(`has a text without end at byte ${offset}`);
    return Buffer.from(piece.buffer, piece.byteOffset, stop).toString("utf8");
  };
  return { bits: fileClass === 1 ? (32 as const) : (64 as const), length: bytes.length, bad, u16, u32, word, text };
}

function readProgramHeaders(reader: ElfReader): ProgramHeader[] {
  const wide = reader.bits === 64;
  const start = reader.word(wide ? 32 : 28);
  const entrySize = reader.u16(wide ? 54 : 42);
  const count = reader.u16(wide ? 56 : 44);
  if (count === 0) return [];
  if (count > maxProgramHeaders) throw reader.bad(`claims ${count} program headers`);
  if (entrySize < (wide ? 56 : 32)) throw reader.bad(`has program headers of ${entrySize} bytes`);
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entrySize;
    return wide
      ? {
          type: reader.u32(at),
          offset: reader.word(at + 8),
          address: reader.word(at + 16),
          fileSize: reader.word(at + 32),
        }
      : {
          type: reader.u32(at),
          offset: reader.word(at + 4),
          address: reader.word(at + 8),
          fileSize: reader.word(at + 16),
        };
  });
}

function readDynamic(reader: ElfReader, segments: readonly ProgramHeader[]) {
  const none = { needed: [], runpath: [], rpath: [] };
  const dynamic = segments.find((segment) => segment.type === ptDynamic);
  // Separated debug files keep the header but have no contents there.
  if (!dynamic || dynamic.fileSize === 0) return none;
  const width = reader.bits / 8;
  const entries: { tag: number; value: number }[] = [];
  for (let at = dynamic.offset; at + 2 * width <= dynamic.offset + dynamic.fileSize; at += 2 * width) {
    const tag = reader.word(at);
    if (tag === 0) break;
    if (entries.push({ tag, value: reader.word(at + width) }) > maxDynamicEntries) {
      throw reader.bad("has a dynamic section without end");
    }
  }
  const table = entries.find((entry) => entry.tag === dtStrtab);
  if (!table) return none;
  const base = fileOffset(reader, segments, table.value);
  const texts = (tag: number) =>
    entries.filter((entry) => entry.tag === tag).map((entry) => reader.text(base + entry.value, reader.length));
  const paths = (tag: number) =>
    texts(tag)
      .flatMap((text) => text.split(":"))
      .filter((path) => path !== "");
  const soname = texts(dtSoname)[0];
  return {
    ...(soname !== undefined && { soname }),
    needed: texts(dtNeeded),
    runpath: paths(dtRunpath),
    rpath: paths(dtRpath),
  };
}

/** The dynamic section speaks in addresses; the loaded segments say where in the file they come from. */
function fileOffset(reader: ElfReader, segments: readonly ProgramHeader[], address: number): number {
  const segment = segments.find(
    (candidate) =>
      candidate.type === ptLoad && address >= candidate.address && address < candidate.address + candidate.fileSize,
  );
  if (!segment) throw reader.bad(`has its string table at address ${address}, which no segment loads`);
  return segment.offset + (address - segment.address);
}
