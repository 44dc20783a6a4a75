import type { Socket } from "node:net";
import type { DiskRecipe } from "../extent.ts";
import { type ByteQueue, NbdHangUp, send } from "./nbd-stream.ts";

/** What was agreed on. */
export interface NbdAbilities {
  readonly structuredReplies: boolean;
  /** The client asked for `base:allocation`. */
  readonly blockStatus: boolean;
}

/** The identifier that block status replies carry for `base:allocation`. Any number would do. */
export const allocationContext = 1;
/** Bytes. The longest read we answer, told to clients that ask. */
export const maxReadBytes = 32 << 20;

/**
 * The fixed newstyle handshake. Every export name is taken: there is one disk. Gives undefined when the
 * client ends it.
 *
 * @throws NbdHangUp on anything that is not NBD.
 */
export async function negotiate(
  recipe: DiskRecipe,
  input: ByteQueue,
  socket: Socket,
): Promise<NbdAbilities | undefined> {
  const greeting = Buffer.alloc(18);
  greeting.write("NBDMAGICIHAVEOPT", 0, "latin1");
  greeting.writeUInt16BE(fixedNewstyle | noZeroes, 16);
  await send(socket, greeting);
  const clientFlags = (await input.take(4)).readUInt32BE(0);
  if (clientFlags & ~(fixedNewstyle | noZeroes)) throw new NbdHangUp(`client flags ${clientFlags}`);
  let structuredReplies = false;
  let blockStatus = false;
  for (let options = 0; options < maxOptions; options++) {
    const head = await input.take(16);
    if (head.toString("latin1", 0, 8) !== "IHAVEOPT") throw new NbdHangUp("not an option");
    const option = head.readUInt32BE(8);
    const length = head.readUInt32BE(12);
    if (length > maxOptionBytes) throw new NbdHangUp(`an option of ${length} bytes`);
    const data = await input.take(length);
    const reply = (type: number, payload: Uint8Array = Buffer.alloc(0)) =>
      send(socket, optionReplyHead(option, type, payload.length), payload);
    switch (option) {
      case optExportName: {
        const padding = clientFlags & noZeroes ? 0 : 124;
        await send(socket, exportInfo(recipe).subarray(2), Buffer.alloc(padding));
        return { structuredReplies, blockStatus };
      }
      case optAbort:
        await reply(repAck);
        return undefined;
      case optList:
        if (length > 0) await reply(repErrInvalid);
        else {
          await reply(repServer, Buffer.alloc(4));
          await reply(repAck);
        }
        break;
      case optInfo:
      case optGo:
        if (!isInfoRequest(data)) {
          await reply(repErrInvalid);
          break;
        }
        await reply(repInfo, exportInfo(recipe));
        await reply(repInfo, blockSizeInfo());
        await reply(repAck);
        if (option === optGo) return { structuredReplies, blockStatus };
        break;
      case optStructuredReply:
        structuredReplies ||= length === 0;
        await reply(length === 0 ? repAck : repErrInvalid);
        break;
      case optListMetaContext:
      case optSetMetaContext: {
        const queries = structuredReplies ? metaQueries(data) : undefined;
        if (!queries) {
          await reply(repErrInvalid);
          break;
        }
        const listsAll = option === optListMetaContext && queries.length === 0;
        const known = listsAll || queries.some((query) => query === "base:allocation" || query === "base:");
        const selected = listsAll || (option === optListMetaContext ? known : queries.includes("base:allocation"));
        if (option === optSetMetaContext) blockStatus = selected;
        if (selected) await reply(repMetaContext, metaContext());
        await reply(repAck);
        break;
      }
      default:
        await reply(repErrUnsupported);
    }
  }
  throw new NbdHangUp("too many options");
}

const fixedNewstyle = 1;
const noZeroes = 2;
/** No client needs more; one that sends options without end is no client. */
const maxOptions = 256;
/** Names may have 4096 bytes (doc/proto.md, "Values"). */
const maxOptionBytes = 65_536;

const optExportName = 1;
const optAbort = 2;
const optList = 3;
const optInfo = 6;
const optGo = 7;
const optStructuredReply = 8;
const optListMetaContext = 9;
const optSetMetaContext = 10;

const repAck = 1;
const repServer = 2;
const repInfo = 3;
const repMetaContext = 4;
const repErrUnsupported = 2 ** 31 + 1;
const repErrInvalid = 2 ** 31 + 3;

function optionReplyHead(option: number, type: number, length: number): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x3e889045565a9n, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(length, 16);
  return head;
}

/** NBD_FLAG_HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN */
const transmissionFlags = 1 | 2 | 4 | 256;

/** NBD_INFO_EXPORT: the size in bytes and what can be done. */
function exportInfo(recipe: DiskRecipe): Buffer {
  const info = Buffer.alloc(12);
  info.writeBigUInt64BE(BigInt(recipe.size), 2);
  info.writeUInt16BE(transmissionFlags, 10);
  return info;
}

/** NBD_INFO_BLOCK_SIZE: least, preferred, most. */
function blockSizeInfo(): Buffer {
  const info = Buffer.alloc(14);
  info.writeUInt16BE(3, 0);
  info.writeUInt32BE(1, 2);
  info.writeUInt32BE(4096, 6);
  info.writeUInt32BE(maxReadBytes, 10);
  return info;
}

/** Length of the name, name, number of information requests, those. */
function isInfoRequest(data: Buffer): boolean {
  if (data.length < 6) return false;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > data.length - 6) return false;
  return data.length === 6 + nameLength + 2 * data.readUInt16BE(4 + nameLength);
}

/** The queries of a metadata context option, undefined when it contradicts itself. */
function metaQueries(data: Buffer): string[] | undefined {
  let at = 0;
  const text = (): string | undefined => {
    if (at + 4 > data.length) return undefined;
    const length = data.readUInt32BE(at);
    if (length > data.length - at - 4) return undefined;
    at += 4 + length;
    return data.toString("utf8", at - length, at);
  };
  if (text() === undefined || at + 4 > data.length) return undefined;
  const count = data.readUInt32BE(at);
  at += 4;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = text();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return at === data.length ? queries : undefined;
}

function metaContext(): Buffer {
  const context = Buffer.alloc(4 + "base:allocation".length);
  context.writeUInt32BE(allocationContext, 0);
  context.write("base:allocation", 4, "latin1");
  return context;
}
