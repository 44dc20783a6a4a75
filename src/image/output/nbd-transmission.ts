import type { Socket } from "node:net";
import type { DiskRecipe } from "../extent.ts";
import { allocationContext, maxReadBytes, type NbdAbilities } from "./nbd-handshake.ts";
import { type ByteQueue, NbdHangUp, send } from "./nbd-stream.ts";
import { type ContentReader, firstExtentAfter, readRecipe } from "./recipe-reader.ts";

export interface Transmission extends NbdAbilities {
  readonly recipe: DiskRecipe;
  readonly reader: ContentReader;
  readonly input: ByteQueue;
  readonly socket: Socket;
  readonly onProblem: (error: Error) => void;
}

/** Answers requests in their order until the client disconnects. @throws NbdHangUp on what is no request. */
export async function transmit(session: Transmission): Promise<void> {
  for (;;) {
    const head = await session.input.take(28);
    if (head.readUInt32BE(0) !== requestMagic) throw new NbdHangUp("not a request");
    const type = head.readUInt16BE(6);
    const length = head.readUInt32BE(24);
    const request = {
      flags: head.readUInt16BE(4),
      cookie: head.subarray(8, 16),
      // Beyond 2^53 it is rounded, and out of range anyway.
      offset: Number(head.readBigUInt64BE(16)),
      length,
    };
    if (type === cmdDisconnect) return;
    if (type === cmdWrite) await session.input.skip(length);
    await answer(session, type, request);
  }
}

interface Request {
  readonly flags: number;
  readonly cookie: Buffer;
  readonly offset: number;
  readonly length: number;
}

const requestMagic = 0x25609513;
const cmdRead = 0;
const cmdWrite = 1;
const cmdDisconnect = 2;
const cmdFlush = 3;
const cmdTrim = 4;
const cmdWriteZeroes = 6;
const cmdBlockStatus = 7;

const notPermitted = 1;
const inputOutput = 5;
const invalid = 22;
const overflow = 75;

async function answer(session: Transmission, type: number, request: Request): Promise<void> {
  const { recipe } = session;
  const within = request.length > 0 && request.offset + request.length <= recipe.size;
  switch (type) {
    case cmdRead:
      if (!within) return refuse(session, request, invalid);
      if (request.length > maxReadBytes) return refuse(session, request, overflow);
      return read(session, request);
    case cmdBlockStatus:
      if (!session.blockStatus || !within) return refuse(session, request, invalid);
      return chunk(session, request, chunkBlockStatus, [blockStatus(recipe, request)]);
    case cmdFlush:
      return session.structuredReplies ? chunk(session, request, chunkNone, []) : simple(session, request, 0);
    case cmdWrite:
    case cmdTrim:
    case cmdWriteZeroes:
      return refuse(session, request, notPermitted);
    default:
      return refuse(session, request, invalid);
  }
}

async function read(session: Transmission, request: Request): Promise<void> {
  const { recipe, reader, structuredReplies } = session;
  const next = recipe.extents[firstExtentAfter(recipe, request.offset)];
  const isHole = !next || next.start >= request.offset + request.length;
  if (structuredReplies && isHole) {
    const hole = Buffer.alloc(12);
    hole.writeBigUInt64BE(BigInt(request.offset), 0);
    hole.writeUInt32BE(request.length, 8);
    return chunk(session, request, chunkOffsetHole, [hole]);
  }
  let bytes: Buffer;
  try {
    bytes = readRecipe(recipe, reader, request.offset, request.length);
  } catch (error) {
    session.onProblem(error as Error);
    return refuse(session, request, inputOutput);
  }
  if (!structuredReplies) return simple(session, request, 0, bytes);
  const offset = Buffer.alloc(8);
  offset.writeBigUInt64BE(BigInt(request.offset), 0);
  return chunk(session, request, chunkOffsetData, [offset, bytes]);
}

/** A reply may cover less than was asked: clients ask on from there. */
const maxDescriptors = 8192;
const requestOne = 1 << 3;
const holeOfZeros = 3;

/** NBD_REPLY_TYPE_BLOCK_STATUS: the context, then pairs of length and flags from the offset on. */
function blockStatus(recipe: DiskRecipe, request: Request): Buffer {
  const end = request.offset + request.length;
  const limit = request.flags & requestOne ? 1 : maxDescriptors;
  const pieces: { length: number; flags: number }[] = [];
  let at = request.offset;
  const add = (to: number, flags: number) => {
    const length = Math.min(to, end) - at;
    if (length <= 0) return;
    const last = pieces.at(-1);
    if (last?.flags === flags) pieces[pieces.length - 1] = { length: last.length + length, flags };
    else pieces.push({ length, flags });
    at += length;
  };
  for (let index = firstExtentAfter(recipe, at); at < end && pieces.length <= limit; index++) {
    const extent = recipe.extents[index];
    add(extent ? extent.start : end, holeOfZeros);
    if (extent) add(extent.start + extent.length, 0);
  }
  const told = pieces.slice(0, limit);
  const payload = Buffer.alloc(4 + 8 * told.length);
  payload.writeUInt32BE(allocationContext, 0);
  told.forEach(({ length, flags }, index) => {
    payload.writeUInt32BE(length, 4 + 8 * index);
    payload.writeUInt32BE(flags, 8 + 8 * index);
  });
  return payload;
}

const chunkNone = 0;
const chunkOffsetData = 1;
const chunkOffsetHole = 2;
const chunkBlockStatus = 5;
const chunkError = 2 ** 15 + 1;

/** A structured reply of one chunk, its last (NBD_REPLY_FLAG_DONE). */
function chunk(session: Transmission, request: Request, type: number, payload: readonly Uint8Array[]): Promise<void> {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(0x668e33ef, 0);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(type, 6);
  request.cookie.copy(head, 8);
  head.writeUInt32BE(
    payload.reduce((sum, piece) => sum + piece.length, 0),
    16,
  );
  return send(session.socket, head, ...payload);
}

function simple(session: Transmission, request: Request, error: number, payload?: Buffer): Promise<void> {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(error, 4);
  request.cookie.copy(head, 8);
  return payload ? send(session.socket, head, payload) : send(session.socket, head);
}

function refuse(session: Transmission, request: Request, error: number): Promise<void> {
  if (!session.structuredReplies) return simple(session, request, error);
  const payload = Buffer.alloc(6);
  payload.writeUInt32BE(error, 0);
  return chunk(session, request, chunkError, [payload]);
}
