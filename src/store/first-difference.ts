import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { sortedBy } from "../base/order.ts";

/** Where two trees first differ in what an item's archive says, in words; undefined when they do not. */
export function firstDifference(one: string, other: string, inside = ""): string | undefined {
  const at = inside === "" ? "it" : inside;
  const [left, right] = [kindOf(join(one, inside)), kindOf(join(other, inside))];
  if (left !== right) return `${at}: ${left}, then ${right}`;
  if (left === "a link") {
    const [target, otherTarget] = [readlinkSync(join(one, inside)), readlinkSync(join(other, inside))];
    return target === otherTarget ? undefined : `${at}: a link to ${target}, then to ${otherTarget}`;
  }
  if (left !== "a folder") {
    const [bytes, otherBytes] = [readFileSync(join(one, inside)), readFileSync(join(other, inside))];
    if (bytes.equals(otherBytes)) return undefined;
    const byte = bytes.findIndex((value, i) => value !== otherBytes[i]);
    const sizes = `${bytes.length} and ${otherBytes.length} bytes`;
    return `${at}: from byte ${byte < 0 ? bytes.length : byte} on (${sizes})`;
  }
  const names = new Set([...readdirSync(join(one, inside)), ...readdirSync(join(other, inside))]);
  for (const name of sortedBy(names, (entry) => entry)) {
    const difference = firstDifference(one, other, join(inside, name));
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function kindOf(path: string): string {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (!status) return "nothing";
  if (status.isSymbolicLink()) return "a link";
  if (status.isDirectory()) return "a folder";
  return (status.mode & 0o100) !== 0 ? "a program" : "a file";
}
