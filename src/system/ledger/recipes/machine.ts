import { fileCapability } from "../file-capability.ts";
import type { Recipe } from "../recipe.ts";

const netRaw = fileCapability("cap_net_raw+ep")!;

/** Care of the machine itself: who may do what, what is watched, what is kept up to date. */
export const machineRecipes: readonly Recipe[] = [
  {
    package: "keyboard-configuration",
    residues: ["918de2c88ddc143e963529495eb03a9814a0ba7dd8f9a78ce6c0260d903dbf67"],
    why: "writes what debconf knows of the keyboard: the record's word stands in its place, else Debian's default",
    gives: {
      files: [
        {
          path: "/etc/default/keyboard",
          mode: 0o644,
          text: 'XKBMODEL="pc105"\nXKBLAYOUT="us"\nXKBVARIANT=""\nXKBOPTIONS=""\nBACKSPACE="guess"\n',
        },
      ],
    },
  },
  {
    package: "console-setup",
    residues: ["c483179d0983f6e2bbb8dc318e154d918eee4fa47899bbe9ac62a9fbd23c9643"],
    why: "writes what debconf knows of consoles' fonts; sets up those of the host, which machines do at boot",
    gives: {
      files: [
        {
          path: "/etc/default/console-setup",
          mode: 0o644,
          text: 'ACTIVE_CONSOLES="/dev/tty[1-6]"\nCHARMAP="UTF-8"\nCODESET="guess"\nFONTFACE="Fixed"\nFONTSIZE="8x16"\nVIDEOMODE=\n',
        },
      ],
    },
  },
  {
    package: "polkitd",
    residues: [
      "1791ee2894c8727950765c5af06fd8fbac3ef35de2c8c40cfbc51cb4dd4d7cd7",
      "e02fe9e8b4e3e16e2b8e2b7799069382dc35cefca7b3560054d7ddc3982ff71a",
    ],
    why: "its user where systemd-sysusers has not made it",
    gives: {
      users: [{ name: "polkitd", home: "/nonexistent", shell: "/usr/sbin/nologin", comment: "User for polkitd" }],
    },
  },
  {
    package: "apparmor",
    residues: ["06050621d1de1f0fa1e4bbc4594e26efcaedef7fa46c284538a8b1a807480413"],
    why: "homes beyond /home, which debconf asks for, as profiles are to know them; profiles are loaded at boot",
  },
  {
    package: "auditd",
    residues: ["ac799fbbd6ba6d83dac8dc887e49f921b3d1e792a30ddc53d634f66768a94f9b"],
    why: "joins the files of /etc/audit/rules.d, which its unit does again at every start",
  },
  {
    package: "fail2ban",
    residues: ["24c3f7e65657e0f8c942592de6d3f580585e3c1dc7470bb915a9cefd8b1574a5"],
    why: "owner of logs that are already there",
  },
  {
    package: "unattended-upgrades",
    residues: ["1818fa3907b17d1f629a1609b5804c902683d440213967d4379cac289de9cfc1"],
    why: "turns daily upgrades on: an image is generated anew instead, so they stay off unless a service ships 20auto-upgrades",
  },
  {
    package: "etckeeper",
    residues: ["554e2695134dd5f6b3ee115e0750495e834fb44ef03f5da8bc0b935da344a308"],
    why: "makes a repository of /etc, which in an image would record nothing",
  },
  {
    package: "cloud-init",
    residues: [
      "8661ffa358adbfb9ee57ef2c43439a0cfa235b96d76f5600e2c86947cb94173c",
      "f4c94b4c7b3698d248d8335d4dbaa123ee7c4301e5f0d3c1d59e2997c38825b9",
    ],
    why: "settings that debconf was told, by default none",
  },
  {
    package: "systemd-boot",
    residues: [
      "c4dc6a1a532a253cdc2127185027e63a846d5b0ee106a95c91e5db6a61187a84",
      "3388a7477581891311097557be22161fe837dda4d13fd66ea5e1e56b79a7316e",
    ],
    why: "installs itself into the EFI partition, which the image already has",
  },
  {
    package: "fping",
    residues: ["97ee5e4e90b0a077c99fa9d6264f6cbc3a094983954675ba45c82cad0346dcba"],
    why: "gives fping its capability",
    gives: { capabilities: [{ path: "/usr/bin/fping", value: netRaw }] },
  },
  {
    package: "mtr-tiny",
    residues: ["8b2294a163bea689f32e2f8e7d32a3fc5eebae8be47ffc13dc2afadbc609fab4"],
    why: "gives its helper the capability to send raw packets",
    gives: { capabilities: [{ path: "/usr/bin/mtr-packet", value: netRaw }] },
  },
  {
    package: "nmap-common",
    residues: ["49339e34ebb377bbdb6b0cbf87456914acbd4076e190fb87fa15d5b49997b43b"],
    why: "unpacks a program for Windows machines that a script of nmap sends there; without it that one script says so",
  },
  {
    package: "libgstreamer1.0-0",
    residues: ["cb350573fe1d80d6677ef4068be6b95f51bd522ef0bd40dc02fd0a31cfbbf4ee"],
    why: "gives its helper for precise time its capabilities",
    gives: {
      capabilities: [
        {
          path: "/usr/lib/x86_64-linux-gnu/gstreamer1.0/gstreamer-1.0/gst-ptp-helper",
          value: fileCapability("cap_net_bind_service,cap_net_admin+ep")!,
        },
      ],
    },
  },
  {
    package: "pacemaker-common",
    residues: ["63fd934b7223b22ab4a748d501859380e5579ac466a6ed69d40f1ad4b494ea84"],
    why: "its folders; the key by which nodes trust each other, a secret, has to come from the service",
    gives: {
      attributes: [
        ...["pengine", "cib", "cores", "blackbox"].map((name) => pacemaker(`/var/lib/pacemaker/${name}`, 0o750)),
        pacemaker("/var/log/pacemaker/bundles", 0o770),
        pacemaker("/var/log/pacemaker", 0o770),
      ],
    },
  },
  {
    package: "pdsh",
    residues: ["ed8c86f271029f21e97215f372393bf2d5c5372c82680888941c01be243a5d08"],
    why: "the mode without set-uid, debconf's default",
    gives: { attributes: [{ path: "/usr/bin/pdsh.bin", mode: 0o755 }] },
  },
  {
    package: "ganglia-monitor",
    residues: ["276b410ff1459469df46d22af8196a2046d11fd455c3e46468d74e2f7e27957b"],
    why: "its user, behind a question whether there is one",
    gives: {
      groups: ["ganglia"],
      users: [{ name: "ganglia", home: "/var/lib/ganglia", comment: "Ganglia Monitor" }],
    },
  },
];

function pacemaker(path: string, mode: number) {
  return { path, user: "hacluster", group: "haclient", mode, registered: true };
}
