import type { Recipe } from "../recipe.ts";

/** Disks beyond the root file system. */
export const storageRecipes: readonly Recipe[] = [
  {
    package: "mdadm",
    residues: ["e49d4c0f91dcea61a2568600fee0041f454ecf72aa5dea693d42646a9d8e0c23"],
    why: "writes mdadm.conf from the arrays of the machine it runs on; here it names none and finds them by their superblocks",
    gives: {
      files: [{ path: "/etc/mdadm/mdadm.conf", text: "HOMEHOST <system>\nMAILADDR root\n", mode: 0o644 }],
    },
  },
  {
    package: "cryptsetup",
    residues: [
      "2b6bbcfaac5ffb4163c436211cd3dccfe761c0c9c36db2a37a8c6067c5e5373c",
      "2de40800a68dc024cbf66c3534f090d2fd085b98bc358898d8f83b8bd6758ccc",
    ],
    why: "looks into crypttab for what its initrd would need; diversions that only concern another package",
  },
  {
    package: "nbd-client",
    residues: ["80db6d90f18797a6564e1732104158ece6ae708a092645149e161098d61d79b4"],
    why: "tells a shutdown of old about running clients",
  },
  {
    package: "nbd-server",
    residues: ["cd82b6a8d7d161dfb303803e856d8b167a96a3f87b0bdcf45aa58692bf5b919b"],
    why: "its settings without a disk, readable for root alone; the service has to say which disks it serves",
    gives: {
      copies: [{ from: "/usr/share/nbd-server/nbd-server.conf.tmpl", path: "/etc/nbd-server/config", mode: 0o600 }],
    },
  },
  {
    package: "nvme-cli",
    residues: ["bc6e10ee5a02d9da4ad0257f5a9f83a1383fc7f8fae1819d50b8d08ad6080ef3"],
    why: "draws the names by which the machine shows itself to NVMe over fabrics; they must differ between machines, so the service or the state volume brings /etc/nvme/hostnqn and hostid",
  },
  {
    package: "open-iscsi",
    residues: ["4561183ce01e25f851570532262e392dced132521c5e40bf2a05ad3065463a0f"],
    why: "draws the name by which the machine shows itself to iSCSI targets; it must differ between machines, so the service or the state volume brings /etc/iscsi/initiatorname.iscsi",
  },
  {
    package: "smartmontools",
    residues: ["3390488995c76719225d6ce2dedee87e25534232e651cc037b2f2877a156381a"],
    why: "the list of known drives where it is looked for",
    gives: {
      copies: [{ from: "/usr/share/smartmontools/drivedb.h", path: "/var/lib/smartmontools/drivedb/drivedb.h" }],
    },
  },
  {
    package: "tgt",
    residues: ["7970659f13ba531bfc5793093f0f12c4eb9dfbd1af2ad25e8f23185b92a54b0b"],
    why: "notes the number of a running daemon",
  },
];
