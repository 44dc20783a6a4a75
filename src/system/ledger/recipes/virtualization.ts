import type { Effects } from "../effects.ts";
import type { ScriptedPackage } from "../examine-scripts.ts";
import type { Recipe } from "../recipe.ts";

/** Machines inside machines. */
export const virtualizationRecipes: readonly Recipe[] = [
  {
    package: "libvirt-daemon-common",
    residues: [
      "7d0a1e4ab1a71f0124bb72775cc29fc4e20ab4c1006e56d6b2520bd90fcc933b",
      "b148b85a2a4a34fd1c99a9575682065cee3e17a477b3662d5aa98028b71e9836",
    ],
    why: "an empty file for additions to its AppArmor profile; diversions protect units across a merge of /usr and end in the postinst",
    gives: { files: [{ path: "/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper", text: "", mode: 0o644 }] },
  },
  {
    package: "libvirt-daemon",
    residues: [
      "9eef283a516f2e0c45a1accd4ec1e60e7925177c230a11cd70654553c26595fd",
      "4b1f947c15a4f8bfac9255e8e6104be97e5db4f101ed1f9957d33d328401e669",
    ],
    why: "an empty file for additions to its AppArmor profile; diversions protect units across a merge of /usr and end in the postinst",
    gives: { files: [{ path: "/etc/apparmor.d/local/usr.sbin.libvirtd", text: "", mode: 0o644 }] },
  },
  {
    package: "libvirt-daemon-log",
    residues: ["9d2e3bf9d4a5c700bbe0aa1b7e9ae36c612bd3ad84505de42c6b6fea5c16d97b"],
    why: "diversions that protect units across a merge of /usr and end in the postinst",
  },
  {
    package: "libvirt-daemon-config-*",
    residues: [
      "d4e4cbca775362a502c3217edf01077c823f31cda9a379979cb349fefed7dea7",
      "687bef99bd3e2bbb25fbe0ef99622001b60a8b14db686ee074cec2463c569cc4",
    ],
    why: "copies its templates of the default network and of packet filters, without the random UUIDs that libvirt adds itself",
    gives: libvirtTemplates,
  },
  {
    package: "libvirt-daemon-driver-qemu",
    residues: ["5cc8aa175e9e76c240c178736b847fc96ada178722ed7705f9f2208d91197806"],
    why: "forgets what it knew of QEMU before an upgrade",
  },
  {
    package: "libvirt-daemon-system",
    residues: ["5cc8aa175e9e76c240c178736b847fc96ada178722ed7705f9f2208d91197806"],
    why: "forgets what it knew of QEMU before an upgrade",
  },
];

function libvirtTemplates(debian: ScriptedPackage): Effects {
  return {
    copies: debian.entries.flatMap(({ path }) => {
      const match = /^\/usr\/share\/libvirt\/(networks|nwfilter)\/([^/]+\.xml)$/.exec(path);
      if (!match) return [];
      const folder = match[1] === "networks" ? "/etc/libvirt/qemu/networks" : "/etc/libvirt/nwfilter";
      return [{ from: path, path: `${folder}/${match[2]}`, mode: 0o600 }];
    }),
  };
}
