import type { DebianControl, SegmentEntry } from "../store/segment.ts";

/** Control files that dpkg keeps beside the list of paths; scripts are left out, for they never run here. */
const keptControlFiles = ["conffiles", "md5sums", "shlibs", "symbols", "triggers"];

/**
 * What dpkg keeps of an installed package below /var/lib/dpkg/info (dpkg(1), FILES): the list of its paths, checksums
 * and the like. It follows from the archive alone, so it is made once, with the archive's segment, and lies with it
 * in every image.
 */
export function dpkgInfoFiles(
  { control, controlFiles }: DebianControl,
  entries: readonly Pick<SegmentEntry, "path">[],
): { readonly path: string; readonly text: string }[] {
  const { Package: name, Architecture: architecture } = control;
  const base = `/var/lib/dpkg/info/${control["Multi-Arch"] === "same" ? `${name}:${architecture}` : name}`;
  const list = entries.map(({ path }) => `${path === "/" ? "/." : path}\n`).join("");
  const kept = keptControlFiles.flatMap((kind) => {
    const text = controlFiles[kind];
    return text === undefined ? [] : [{ path: `${base}.${kind}`, text }];
  });
  return [{ path: `${base}.list`, text: list }, ...kept];
}
