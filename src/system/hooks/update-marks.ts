import { type DraftTree, generatedFile } from "../draft-tree.ts";

/**
 * The marks of systemd-update-done(8). With them, units with ConditionNeedsUpdate= know that what they would
 * make at every boot of a volatile root (hwdb, journal catalog, ldconfig, sysusers) is made already: the mark is
 * not older than /usr.
 */
export function markUpdated(tree: DraftTree): void {
  if (!tree.has("/usr/lib/systemd/systemd-update-done")) return;
  const seconds = tree.get("/usr")?.mtime ?? 0;
  const text =
    "# This file was created by systemd-update-done. The timestamp below is the\n" +
    "# modification time of /usr/ for which the most recent updates of this\n" +
    `# directory were applied.\nTIMESTAMP_NSEC=${seconds}000000000\n`;
  for (const folder of ["/etc", "/var"]) {
    tree.set(`${folder}/.updated`, { ...generatedFile(text, { origin: "systemd-update-done" }), mtime: seconds });
  }
}
