import type { Problem } from "../base/error.ts";
import type { Centre } from "../language/centre.ts";
import type { SystemManifest } from "../system/manifest.ts";

/** How a system tells its initial RAM disk where its state is: by a disk's serial, which is the name of a volume. */
const stateArgument = "meso.state=";

/** Machines whose system keeps its state on a disk that they do not have: it would wait for it at every boot. */
export function missingStateDisks(
  { machines }: Pick<Centre, "machines">,
  systems: ReadonlyMap<string, { readonly manifest: Pick<SystemManifest, "kernel"> }>,
): Problem[] {
  return [...systems].flatMap(([path, { manifest }]): Problem[] => {
    const argument = manifest.kernel.arguments.find((word) => word.startsWith(stateArgument));
    const disk = argument?.slice(stateArgument.length);
    if (disk === undefined || Object.hasOwn(machines[path]!.volumes, disk)) return [];
    return [
      {
        code: "missing-volume",
        field: `machines[${JSON.stringify(path)}].volumes`,
        what: `the system of ${path} keeps its state on the disk ${disk}, which the machine does not have`,
        hint: `volumes: { ${disk}: volume({ size: "10GiB" }) }`,
      },
    ];
  });
}
