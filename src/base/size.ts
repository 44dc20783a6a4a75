import { failure } from "./error.ts";

const units: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const binaryUnits: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes: `32GiB`, `64G` (both binary, as QEMU and Proxmox read them), `500MB` (decimal). */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?$/i.exec(text.trim());
  const isDecimal = match?.[3]?.toLowerCase() === "b" && match[2] !== "";
  const factor = (isDecimal ? units : binaryUnits)[match?.[2]?.toLowerCase() ?? "?"];
  if (!match || factor === undefined) {
    throw failure("usage", `found the size ${JSON.stringify(text)}`, {
      expected: "a number with a unit: 32GiB, 64G, 500MB",
    });
  }
  return Math.round(Number(match[1]) * factor);
}
