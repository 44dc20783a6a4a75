import type { Check, Finding } from "./finding.ts";

/** PEM (RFC 7468), OpenSSH (PROTOCOL.key), PuTTY and age keys. */
export const privateKeyMarker =
  /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|^PuTTY-User-Key-File-|^AGE-SECRET-KEY-1/m;

/** Bytes; keys are small. */
const largest = 64 * 1024;

/** Private keys: everyone who can read the image, or the pool it lies in, would have them. */
export const privateKeys: Check = ({ tree, readFile }) => {
  const findings: Finding[] = [];
  for (const [path, entry] of tree) {
    if (entry.kind !== "file" || entry.size > largest || entry.size < 32) continue;
    if (entry.content.kind !== "bytes" && !/^\/(etc|root|home|srv|opt|usr\/local|var)\//.test(path)) continue;
    if (!privateKeyMarker.test(Buffer.from(readFile(entry)).toString("latin1"))) continue;
    findings.push({
      check: "private-key",
      severity: "error",
      path,
      origin: entry.origin,
      what: "holds a private key",
      hint: "give it to the machine as a credential, or keep it on the state volume",
    });
  }
  return findings;
};
