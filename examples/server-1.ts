// A machine that people administer: fixed address, SSH with keys, clock, logs; the root file system is read-only and
// what is written on top of it is gone after a reboot.

import { baseFileSystems, basePackages, baseServices, debian, fileSystem, label, operatingSystem } from "mesoforge";
import { administrators, chrony, openssh, rsyslog } from "mesoforge/services";

export default operatingSystem({
  hostName: "server-1",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "erofs" }), ...baseFileSystems],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
  timezone: "Europe/Paris",
  packages: [...basePackages, debian("tcpdump"), debian("lsof")],
  services: [
    ...baseServices,
    openssh({ permitRootLogin: "no" }),
    chrony({ servers: ["ntp1.example.org", "ntp2.example.org"], pools: [] }),
    rsyslog({ forwardTo: [{ host: "logs.example.org" }] }),
    administrators({
      people: [
        {
          name: "alice",
          comment: "Alice, infrastructure",
          authorizedKeys: [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lc29mb3JnZSBleGFtcGxlIGtleSwgbm90IHVzZWQgYW55 alice@example.org",
          ],
        },
      ],
    }),
  ],
});
