import type { Recipe } from "../recipe.ts";

/**
 * cap_net_raw, permitted and effective, as `struct vfs_ns_cap_data` revision 2 (linux/capability.h):
 * magic and flag, then permitted and inheritable sets, low words first, little-endian.
 */
const netRawCapability = "0100000200200000000000000000000000000000";

/** Networks: tools, names, remote file systems. */
export const networkRecipes: readonly Recipe[] = [
  {
    package: "iproute2",
    residues: [
      "afe127c6356f060aaee0eb630086dffedcde32885068cad908964845a9824c53",
      "c5ab92d6e996d9129614c9b4e50e4b94e715409c4d1a0ac6931a71ba8a0bbd1d",
    ],
    why: "lets everyone use `ip vrf` when asked by debconf, whose default is no",
  },
  {
    package: "iputils-ping",
    residues: ["49ece78b042792d21a7ca859e3330a7ec94b78ba4032687c7679f0d6dca017c3"],
    why: "gives ping its capability, or set-uid where the file system has none",
    gives: { capabilities: [{ path: "/usr/bin/ping", value: netRawCapability }] },
  },
  {
    package: "systemd-resolved",
    residues: [
      "63f3b4858516390bddb0fbcfb76981c5cf41ead45a5157431a63f8d74e67b1ad",
      "e10fc18ec1f7ca69f74edc4f52d6916d54c09bf9c8473932f48f7d1cc2d5df6b",
    ],
    why: "points /etc/resolv.conf to the stub resolver",
    gives: { links: [{ path: "/etc/resolv.conf", target: "../run/systemd/resolve/stub-resolv.conf" }] },
  },
  {
    package: "nfs-common",
    residues: ["70c073fa735e8fa33ee8fb5a044ac138f47283971558ed22c24b74e35d8dd398"],
    why: "converts settings of versions before 2.6.1",
  },
  {
    package: "autofs",
    residues: ["bfde7417ab13198c26989e72efaa5ca2cd4acbb1b99756b8112cf0905953942b"],
    why: "removes a script of the package autofs5, gone since 2012",
  },
  {
    package: "chrony",
    residues: ["4f59120e453c44e9ed42c5bbf52e5b3324b06feb1c4e6b03418d88f4574c51ba"],
    why: "state overrides, behind a question to chronyd which user it has; its settings by ucf",
    gives: {
      attributes: [
        { path: "/var/lib/chrony", user: "_chrony", group: "_chrony", mode: 0o750, registered: true },
        { path: "/var/log/chrony", user: "_chrony", group: "_chrony", mode: 0o750, registered: true },
        { path: "/etc/chrony/chrony.keys", user: "root", group: "_chrony", mode: 0o640, registered: true },
      ],
      copies: [
        { from: "/usr/share/chrony/chrony.conf", path: "/etc/chrony/chrony.conf", mode: 0o644 },
        { from: "/usr/share/chrony/chrony.keys", path: "/etc/chrony/chrony.keys", mode: 0o640 },
      ],
    },
  },
];
