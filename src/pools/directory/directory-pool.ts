import { resolve } from "node:path";
import type { Pool } from "../pool.ts";
import { aloneIn } from "./alone.ts";
import { checkDirectory } from "./check.ts";
import { explained } from "./errors.ts";
import { locationOf } from "./image-files.ts";
import { directoryImages } from "./images.ts";
import { placesIn } from "./places.ts";
import { directoryRecords } from "./records.ts";
import { sweepDirectory } from "./sweep.ts";
import { directoryVolumes } from "./volumes.ts";

export interface DirectoryPoolOptions {
  /** Seconds since 1970; the clock of this host unless said. */
  readonly now?: () => number;
}

/**
 * A pool in a folder: images are qcow2 files, the segments that they share lie in layers below them, and what is
 * written on them lies beside as JSON. Needs nothing but QEMU's tools. The folder is made when something is written.
 * Processes of one host may use it at the same time.
 */
export function directoryPool(folder: string, options: DirectoryPoolOptions = {}): Pool {
  const places = placesIn(resolve(folder));
  const now = options.now ?? (() => Math.floor(Date.now() / 1000));

  const alone = aloneIn(places);
  const pool: Omit<Pool, "kind" | "title" | "disk"> = {
    check: () => checkDirectory(places),
    ...directoryImages(places, alone),
    ...directoryVolumes(places, alone),
    ...directoryRecords(places, alone, now),
    sweep: () => alone("base", () => alone("images", () => sweepDirectory(places))),
  };
  const verbs = Object.entries(pool).map(([name, verb]) => [name, explaining(verb as Verb, places.folder)]);
  return {
    kind: "directory",
    title: `the directory ${places.folder}`,
    disk: (name) => locationOf(places, name),
    ...(Object.fromEntries(verbs) as typeof pool),
  };
}

type Verb = (...words: unknown[]) => Promise<unknown>;

function explaining(verb: Verb, folder: string): Verb {
  return async (...words) => {
    try {
      return await verb(...words);
    } catch (error) {
      throw explained(error, folder);
    }
  };
}
