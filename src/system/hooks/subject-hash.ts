import { createHash, X509Certificate } from "node:crypto";
import { failure } from "../../base/error.ts";

/**
 * The hash by which OpenSSL finds a certificate in a folder of trusted ones (`openssl x509 -subject_hash`,
 * X509_NAME_hash(3)): SHA-1 of the subject's canonical encoding, first four bytes, low byte first.
 *
 * @throws MesoError `bad-certificate` for text that is no certificate.
 */
export function subjectHash(pem: string, name: string): string {
  try {
    const subject = subjectOf(new X509Certificate(pem).raw);
    const digest = createHash("sha1").update(canonicalName(subject)).digest();
    return digest.readUInt32LE(0).toString(16).padStart(8, "0");
  } catch (cause) {
    throw failure(
      "bad-certificate",
      `${name} holds no certificate that can be read`,
      {
        expected: "one X.509 certificate in PEM form",
        hint: "check the file with: openssl x509 -noout -text",
      },
      cause,
    );
  }
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Header and content. */
  readonly whole: Buffer;
}

/** Elements of a constructed value (X.690, definite lengths: DER has no others). */
function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes.readUInt8(at + 1);
    let start = at + 2;
    if (length & 0x80) {
      const size = length & 0x7f;
      length = bytes.readUIntBE(start, size);
      start += size;
    }
    if (start + length > bytes.length) throw new RangeError("an element is longer than what holds it");
    found.push({ tag, content: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) });
    at = start + length;
  }
  return found;
}

/** RFC 5280, section 4.1: version (tagged 0, optional), serial number, algorithm, issuer, validity, subject. */
function subjectOf(certificate: Buffer): Buffer {
  const [outer] = elements(certificate);
  const [toBeSigned] = elements(outer!.content);
  const fields = elements(toBeSigned!.content);
  return fields[fields[0]!.tag === 0xa0 ? 5 : 4]!.content;
}

/** As x509_name_canon of OpenSSL does: the sets one after the other, without the sequence around them. */
function canonicalName(name: Buffer): Buffer {
  return Buffer.concat(
    elements(name).map((set) => {
      const attributes = elements(set.content).map((attribute) => {
        const [type, value] = elements(attribute.content);
        return encode(0x30, Buffer.concat([type!.whole, canonicalValue(value!)]));
      });
      return encode(0x31, Buffer.concat(attributes.sort(Buffer.compare)));
    }),
  );
}

const utf8String = 0x0c;

/** Tags of string types that are folded, with how their bytes read; every other value stays as it is. */
const stringTypes: Readonly<Record<number, (bytes: Buffer) => string>> = {
  12: (bytes) => bytes.toString("utf8"),
  19: (bytes) => bytes.toString("latin1"),
  20: (bytes) => bytes.toString("latin1"),
  22: (bytes) => bytes.toString("latin1"),
  26: (bytes) => bytes.toString("latin1"),
  28: (bytes) => String.fromCodePoint(...Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32BE(i * 4))),
  30: (bytes) => Buffer.from(bytes).swap16().toString("utf16le"),
};

function canonicalValue(value: Element): Buffer {
  const decode = stringTypes[value.tag];
  if (decode === undefined) return value.whole;
  const spaces = /[ \t\n\v\f\r]+/g;
  const folded = decode(value.content)
    .replace(spaces, " ")
    .replace(/^ | $/g, "")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return encode(utf8String, Buffer.from(folded, "utf8"));
}

function encode(tag: number, content: Buffer): Buffer {
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const size = content.length < 0x100 ? 1 : content.length < 0x10000 ? 2 : 3;
  const header = Buffer.alloc(2 + size);
  header[0] = tag;
  header[1] = 0x80 | size;
  header.writeUIntBE(content.length, 2, size);
  return Buffer.concat([header, content]);
}
