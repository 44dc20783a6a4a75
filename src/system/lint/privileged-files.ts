import type { Check } from "./finding.ts";

/** For information: programs that run with more rights than who starts them. */
export const privilegedFiles: Check = ({ tree }) =>
  [...tree].flatMap(([path, entry]) => {
    if (entry.kind !== "file") return [];
    const rights = [
      ...((entry.mode & 0o4000) !== 0 ? [`set-uid ${entry.uid}`] : []),
      ...((entry.mode & 0o2000) !== 0 ? [`set-gid ${entry.gid}`] : []),
      ...(entry.xattrs?.["security.capability"] ? ["capabilities"] : []),
    ];
    if (rights.length === 0) return [];
    return [
      { check: "privileged-file", severity: "note", path, origin: entry.origin, what: rights.join(", ") } as const,
    ];
  });
