import { basename, dirname, join } from "node:path";
import { ownerTag, sweepAbandoned } from "../../store/owner.ts";

/**
 * A fresh hidden name beside `path`, for what is not whole yet. What killed processes left of the same file, which
 * may be as large as an image, is removed.
 */
export function asideOf(path: string): string {
  const prefix = `.${basename(path)}.`;
  sweepAbandoned(dirname(path), prefix);
  return join(dirname(path), `${prefix}${ownerTag()}.${counter++}`);
}

let counter = 0;
