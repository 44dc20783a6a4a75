import type { Recipe } from "../recipe.ts";

/** What clusters are made of: authentication between nodes, batch scheduling, shared storage. */
export const clusterRecipes: readonly Recipe[] = [
  {
    package: "munge",
    residues: ["4a7d2fc42a3eb2c6c2400d7530e7db5fcbe3fe50f3f6927a11b14c4f4302afb3"],
    why: "its user, behind a question whether there is one; the key, shared by all nodes, is a secret and comes as one",
    gives: { users: [{ name: "munge", home: "/nonexistent" }] },
  },
  {
    package: "slurm-wlm-basic-plugins",
    residues: [
      "9206d569720449793d9d5f42e040270780c690b113b105e5b877fe3a1339f353",
      "53f7a73c2ea22b9f1a4ca37012e6939dc865a748c66b4fd14e52f5b43dc8f562",
    ],
    why: "its user, behind a question whether there is one",
    gives: { users: [{ name: "slurm", home: "/nonexistent" }] },
  },
  {
    package: "ceph-common",
    residues: ["87984b67b9cc80e5f23cdc1589efd7fc2ea1e629b109eef67301b90620be23fd"],
    why: "its user, behind a question whether there is one, and the modes of its folders",
    gives: {
      users: [{ name: "ceph", home: "/var/lib/ceph", comment: "Ceph storage service" }],
      attributes: [
        { path: "/var/lib/ceph", user: "ceph", group: "ceph", mode: 0o750 },
        { path: "/var/log/ceph", user: "ceph", group: "ceph", mode: 0o3770 },
      ],
    },
  },
  {
    package: "dnsmasq-base",
    residues: ["1e35577dcd49606d2dfd16419935cbd105caf6c5d1a24c7c0aedfb1534cb24b7"],
    why: "its user, behind a question whether there is one",
    gives: { users: [{ name: "dnsmasq", group: "nogroup", home: "/var/lib/misc", comment: "dnsmasq" }] },
  },
  {
    package: "dnsmasq",
    residues: ["573f1d644fc977afe1aec2c13883e4249f141512929b366d32ec15dfde88c60b"],
    why: "tells the supervisor runit, which is not there",
  },
  {
    package: "install-info",
    residues: ["9532c894103150aa77d26c2eafdb2e958c6b8f5f4d1e95092d7272b4a4ff6ac4"],
    why: "makes an index of info pages",
  },
  {
    package: "vim-runtime",
    residues: ["92fd5fcf502814793d37a3ac231d2edb08795bc9316483cd19a8462e4f2c9b4a"],
    why: "makes an index of the help of add-ons",
  },
  {
    package: "ssl-cert",
    residues: ["ad66babd9c963c18bdb2d9a4638bbeb6947c51f4cfa32db8c35f8b183433d259"],
    why: "makes a private key and a certificate for nobody; a key must never be in an image",
  },
];
