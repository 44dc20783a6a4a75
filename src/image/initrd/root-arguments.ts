import type { ManifestDevice } from "../../system/manifest.ts";

/**
 * The kernel arguments that tell our initrd what to mount as root.
 *
 * @param root.overlaySize of the volatile layer over a read-only root, as tmpfs(5) writes sizes ("50%").
 */
export function rootArguments(root: {
  readonly device: ManifestDevice;
  readonly type: string;
  readonly options?: readonly string[];
  readonly overlaySize?: string;
}): string[] {
  const flags = (root.options ?? []).filter((option) => !["defaults", "ro", "rw"].includes(option));
  return [
    `root=${deviceText(root.device)}`,
    `rootfstype=${root.type}`,
    ...(flags.length > 0 ? [`rootflags=${flags.join(",")}`] : []),
    root.options?.includes("ro") || root.type === "erofs" ? "ro" : "rw",
    // Mounted is what the record says; systemd would also mount what partition types suggest.
    "systemd.gpt_auto=0",
    ...(root.overlaySize ? [`meso.overlay=${root.overlaySize}`] : []),
  ];
}

function deviceText(device: ManifestDevice): string {
  switch (device.kind) {
    case "label":
      return `LABEL=${device.label}`;
    case "uuid":
      return `UUID=${device.uuid}`;
    case "path":
      return device.path;
    case "none":
      throw new Error("assertion failed: a root file system needs a device");
  }
}
