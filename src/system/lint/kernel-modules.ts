import type { Check } from "./finding.ts";

/** Without modules.dep nothing loads by name: the machine boots "green" and has no network card. */
export const kernelModules: Check = ({ tree }) => {
  const versions = new Map<string, string>();
  for (const [path, { origin }] of tree) {
    const match = /^\/usr\/lib\/modules\/([^/]+)\/kernel\/.*\.ko(\.xz|\.zst|\.gz)?$/.exec(path);
    if (match) versions.set(match[1]!, origin);
  }
  return [...versions].flatMap(([version, origin]) => {
    const path = `/usr/lib/modules/${version}/modules.dep`;
    const listed = ["modules.dep.bin", "modules.alias.bin"].map((name) =>
      tree.get(`/usr/lib/modules/${version}/${name}`),
    );
    // An alias table of a few bytes comes of a depmod that could not read compressed modules.
    if (listed.every((entry) => entry?.kind === "file" && entry.size > 1024)) return [];
    const what = `modules of the kernel ${version} are there, and the tables by which they are found are not`;
    return [{ check: "no-module-dependencies", severity: "error", path, origin, what, hint: "install kmod" }] as const;
  });
};
