import { existsSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { assert, failure, MesoError } from "../base/error.ts";
import { fileSha256 } from "./file-hash.ts";
import type { DebianControl, SegmentTable } from "./segment.ts";
import { createSegmentWriter, type SegmentWriter } from "./segment-writer.ts";
import { tableFromJson } from "./table-json.ts";

/** A use within the last hour says enough: most runs write no times. Milliseconds. */
export const useIsNewMilliseconds = 3600 * 1000;

/** The segments of a store: folders named by their id, each with `data`, `table.json`, perhaps `control.json`. */
export interface Segments {
  segmentDataPath(id: string): string;
  /** Whether the segment is there, looking at nothing inside it. */
  hasSegment(id: string): boolean;
  /**
   * @throws MesoError `no-segment` when it is not there; `damaged-segment` when its table cannot be read or
   * its data file has another length.
   */
  readSegmentTable(id: string): SegmentTable;
  /** The same, but undefined when it is not there; a damaged one is removed, to be made again. */
  findSegment(id: string): SegmentTable | undefined;
  /** The control member of an imported `.deb`, kept apart from its table. Throws as `readSegmentTable` does. */
  readDebianControl(id: string): DebianControl;
  /** Reads all data again: false when it is not what was imported; the segment is then removed. */
  verifySegment(id: string): Promise<boolean>;
  removeSegment(id: string): void;
  /** Writes on the segment that it is used now, and gives the length of its data; undefined when it is not there. */
  useSegment(id: string): number | undefined;
  /** A new segment, invisible until it is finished. */
  newSegment(id: string): SegmentWriter;
}

/**
 * @param onUse called before a segment is used. Each use is written on the segment as the time of its data file, so that
 *   a collection takes those that nobody used for long.
 */
export function createSegments(directory: string, temporaryPath: () => string, onUse = (): void => {}): Segments {
  const inside = (id: string, file: string) => {
    assert(/^[0-9a-f]{64}$/.test(id), `${id} is not a SHA-256 in hexadecimal`);
    return join(directory, id, file);
  };
  const segmentDataPath = (id: string) => inside(id, "data");

  function removeSegment(id: string): void {
    tables.delete(id);
    controls.delete(id);
    const aside = temporaryPath();
    try {
      renameSync(inside(id, "."), aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return;
    }
    rmSync(aside, { recursive: true, force: true });
  }

  // Systems that are built one after the other share most of their packages.
  const tables = new Map<string, SegmentTable>();
  const controls = new Map<string, DebianControl>();

  function useSegment(id: string): number | undefined {
    onUse();
    const file = segmentDataPath(id);
    const status = statSync(file, { throwIfNoEntry: false });
    if (status && Date.now() - status.mtimeMs > useIsNewMilliseconds) {
      const now = Date.now() / 1000;
      try {
        utimesSync(file, now, now);
      } catch (error) {
        // Collected this moment: it is not there. Of another person: who may only read cannot keep it.
        const { code } = error as NodeJS.ErrnoException;
        if (code === "ENOENT") return undefined;
        if (code !== "EPERM" && code !== "EACCES" && code !== "EROFS") throw error;
      }
    }
    return status?.size;
  }

  function readSegmentTable(id: string): SegmentTable {
    const table = tables.get(id) ?? readPart(id, inside(id, "table.json"), tableFromJson);
    const dataBytes = useSegment(id);
    if (dataBytes !== table.dataBytes) {
      tables.delete(id);
      throw damaged(id, `its data file has ${dataBytes ?? "no"} bytes instead of ${table.dataBytes}`);
    }
    tables.set(id, table);
    return table;
  }

  function readDebianControl(id: string): DebianControl {
    const parse = (text: string) => JSON.parse(text) as DebianControl;
    const control = controls.get(id) ?? readPart(id, inside(id, "control.json"), parse);
    controls.set(id, control);
    return control;
  }

  function findSegment(id: string): SegmentTable | undefined {
    try {
      return readSegmentTable(id);
    } catch (error) {
      const code = error instanceof MesoError ? error.code : undefined;
      if (code === "damaged-segment") removeSegment(id);
      else if (code !== "no-segment") throw error;
      return undefined;
    }
  }

  async function verifySegment(id: string): Promise<boolean> {
    const table = findSegment(id);
    if (!table) return false;
    if ((await fileSha256(segmentDataPath(id))) === table.dataSha256) return true;
    removeSegment(id);
    return false;
  }

  return {
    segmentDataPath,
    hasSegment: (id) => existsSync(inside(id, "table.json")),
    readSegmentTable,
    findSegment,
    readDebianControl,
    verifySegment,
    removeSegment,
    useSegment,
    newSegment: (id) => createSegmentWriter(id, temporaryPath(), inside(id, "")),
  };
}

function readPart<T>(id: string, file: string, parse: (text: string) => T): T {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw failure("no-segment", `segment ${id} is not in the store`, { hint: "import its archive first" });
  }
  try {
    return parse(text);
  } catch (error) {
    throw damaged(id, `${file} cannot be read: ${(error as Error).message}`);
  }
}

function damaged(id: string, why: string) {
  return failure("damaged-segment", `segment ${id} is damaged: ${why}`, {
    hint: "check the store: damaged segments are removed and imported again",
  });
}
