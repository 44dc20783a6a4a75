// What the machines of this centre have in common: each inherits it.

import { existsSync, readFileSync } from "node:fs";
import { baseFileSystems, baseServices, devicePath, fileSystem, label, operatingSystem } from "mesoforge";
import { administrators, openssh } from "mesoforge/services";

/** The root is read-only under a volatile layer: what must last lies on the state volume. */
export const base = operatingSystem({
  hostName: "template",
  fileSystems: [
    fileSystem({ device: label("root"), mountPoint: "/", type: "erofs" }),
    fileSystem({
      // A volume's name is its disk's serial number. systemd makes a file system where there is none, never elsewhere.
      device: devicePath("/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_state"),
      mountPoint: "/srv/state",
      type: "ext4",
      options: ["x-systemd.makefs", "nodev", "nosuid"],
    }),
    ...baseFileSystems,
  ],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
  services: [
    ...baseServices,
    // The host's key lasts as long as the volume: a new root does not change who the machine is.
    openssh({ hostKey: "/srv/state/ssh_host_ed25519_key" }),
    administrators({ people: [{ name: "admin", authorizedKeys: [publicKey()] }] }),
  ],
});

/** `ssh-keygen -t ed25519 -f key` in this folder makes one; or put your own there. */
function publicKey(): string {
  const file = new URL("key.pub", import.meta.url);
  if (!existsSync(file)) throw new Error("key.pub is missing beside template.ts: ssh-keygen -t ed25519 -N '' -f key");
  return readFileSync(file, "utf8").trim();
}
