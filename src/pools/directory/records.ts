import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../base/error.ts";
import { checkName, isName } from "../image-name.ts";
import { checkJournalLine, journalLength, newestLines } from "../journal.ts";
import { isFree, leaseHeld, leaseText, parseLease } from "../lease.ts";
import type { Pool } from "../pool.ts";
import type { Alone } from "./alone.ts";
import { readText } from "./image-files.ts";
import { makePlaces, namesIn, type Places, replaceFile } from "./places.ts";

type Records = Pick<
  Pool,
  | "takeLease"
  | "lease"
  | "releaseLease"
  | "journal"
  | "appendJournal"
  | "putDocument"
  | "document"
  | "documents"
  | "removeDocument"
>;

/** What lies beside the images. `now` gives seconds since 1970. */
export function directoryRecords(places: Places, alone: Alone, now: () => number): Records {
  const heldLease = () => {
    const text = readText(places.lease);
    return text === undefined ? undefined : parseLease(text);
  };
  return {
    takeLease: (lease) =>
      alone("lease", () => {
        const held = heldLease();
        if (held && !isFree(held, lease, now())) throw leaseHeld(held, now());
        replaceFile(places.lease, leaseText(lease));
      }),
    lease: async () => heldLease(),
    releaseLease: (holder) =>
      alone("lease", () => {
        if (holder === undefined || heldLease()?.holder === holder) rmSync(places.lease, { force: true });
      }),
    journal: async () => newestLines(readText(places.journal) ?? ""),
    appendJournal: async (line) => {
      checkJournalLine(line);
      await alone("journal", () => {
        const text = readText(places.journal) ?? "";
        // A line that was cut short by a power failure must not swallow this one.
        const start = text === "" || text.endsWith("\n") ? "" : "\n";
        if (text.split("\n").length > longestJournal) {
          replaceFile(places.journal, [...newestLines(text), line].map((one) => `${one}\n`).join(""));
        } else appendFileSync(places.journal, `${start}${line}\n`);
      });
    },
    putDocument: async (name, bytes) => {
      checkName(name);
      assert(bytes.length <= largestDocument, `document ${name} has ${bytes.length} bytes`);
      makePlaces(places);
      replaceFile(join(places.documents, name), bytes);
    },
    document: async (name) => {
      try {
        return readFileSync(join(places.documents, checkName(name)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    documents: async () => namesIn(places.documents).filter(isName).sort(),
    removeDocument: async (name) => rmSync(join(places.documents, checkName(name)), { force: true }),
  };
}

/** Lines; longer, the file is written anew with the newest only. */
const longestJournal = 2 * journalLength;
const largestDocument = 16 << 20;
