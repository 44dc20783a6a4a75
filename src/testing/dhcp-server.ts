/** Addresses for machines that ask: RFC 2131, as much of it as a quiet wire needs. */
export interface DhcpServer {
  /** The answer to a frame, if it asks for an address and its card is known. */
  readonly answer: (frame: Buffer) => Buffer | undefined;
}

/** The network of machines that have no address of their own. No router: nothing lies beyond. */
export const lanNetwork = { prefix: [10, 77, 0], server: 1, bits: 24 } as const;

/** @param addresses last part of the address, by the card's address: `52:54:…` → 10. */
export function dhcpServer(addresses: ReadonlyMap<string, number>): DhcpServer {
  return {
    answer: (frame) => {
      const asked = readRequest(frame);
      const last = asked && addresses.get(asked.mac);
      if (!asked || last === undefined) return undefined;
      if (asked.type === discover) return reply(asked, offer, last);
      if (asked.type === request) return reply(asked, acknowledge, last);
      return undefined;
    },
  };
}

const [discover, offer, request, acknowledge] = [1, 2, 3, 5];
const ethernetBytes = 14;
const udpBytes = 8;
/** BOOTP's fixed part and the magic cookie. */
const bootpBytes = 240;
const cookie = 0x63825363;
const [serverPort, clientPort] = [67, 68];

interface Request {
  readonly type: number;
  readonly transaction: Buffer;
  readonly mac: string;
  readonly hardware: Buffer;
}

function readRequest(frame: Buffer): Request | undefined {
  if (frame.length < ethernetBytes + 20 || frame.readUInt16BE(12) !== 0x0800) return undefined;
  const headerBytes = (frame[ethernetBytes]! & 15) * 4;
  const udp = ethernetBytes + headerBytes;
  const bootp = udp + udpBytes;
  if (headerBytes < 20 || frame[ethernetBytes + 9] !== 17 || frame.length < bootp + bootpBytes) return undefined;
  if (frame.readUInt16BE(udp + 2) !== serverPort || frame[bootp] !== 1) return undefined;
  if (frame.readUInt32BE(bootp + 236) !== cookie) return undefined;
  const type = messageType(frame.subarray(bootp + bootpBytes));
  if (type === undefined) return undefined;
  const hardware = frame.subarray(bootp + 28, bootp + 34);
  return {
    ...{ type, hardware, transaction: frame.subarray(bootp + 4, bootp + 8) },
    mac: hardware.toString("hex").match(/../g)!.join(":"),
  };
}

/** Option 53. */
function messageType(options: Buffer): number | undefined {
  for (let at = 0; at < options.length && options[at] !== 255; ) {
    if (options[at] === 0) at++;
    else if (options[at] === 53) return options[at + 2];
    else at += 2 + (options[at + 1] ?? 0);
  }
  return undefined;
}

function reply({ transaction, hardware }: Request, type: number, last: number): Buffer {
  const own = [...lanNetwork.prefix, lanNetwork.server];
  const given = [...lanNetwork.prefix, last];
  const options = Buffer.from([
    ...[53, 1, type, 54, 4, ...own],
    // A day, and the mask of 24 bits.
    ...[51, 4, 0, 1, 0x51, 0x80, 1, 4, 255, 255, 255, 0, 255],
  ]);
  const bootp = Buffer.alloc(bootpBytes);
  bootp.set([2, 1, 6, 0], 0);
  transaction.copy(bootp, 4);
  bootp.set(given, 16);
  bootp.set(own, 20);
  hardware.copy(bootp, 28);
  bootp.writeUInt32BE(cookie, 236);
  const udp = Buffer.alloc(udpBytes);
  udp.writeUInt16BE(serverPort, 0);
  udp.writeUInt16BE(clientPort, 2);
  udp.writeUInt16BE(udpBytes + bootp.length + options.length, 4);
  const ip = Buffer.alloc(20);
  ip.set([0x45, 0], 0);
  ip.writeUInt16BE(ip.length + udpBytes + bootp.length + options.length, 2);
  ip.set([64, 17], 8);
  ip.set(own, 12);
  // The client has no address yet: to all, which its card takes.
  ip.set([255, 255, 255, 255], 16);
  ip.writeUInt16BE(checksum(ip), 10);
  const ethernet = Buffer.concat([hardware, Buffer.from(serverMac), Buffer.from([8, 0])]);
  return Buffer.concat([ethernet, ip, udp, bootp, options]);
}

const serverMac = [0x52, 0x54, 0, 0, 0, 1];

/** RFC 1071. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
