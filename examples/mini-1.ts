// The smallest machine: everything that is not said has a sensible default.
//
//   meso system image examples/mini-1.ts -o mini-1.img
//   meso system vm examples/mini-1.ts

import { baseFileSystems, fileSystem, grub, label, operatingSystem } from "mesoforge";

export default operatingSystem({
  hostName: "mini-1",
  bootloader: grub({ targets: ["/dev/sda"] }),
  fileSystems: [fileSystem({ device: label("my-root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
});
