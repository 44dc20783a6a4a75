import type { Recipe } from "../recipe.ts";

/** How people and programs come in: accounts, keys, scheduled jobs. */
export const loginRecipes: readonly Recipe[] = [
  {
    package: "passwd",
    residues: ["5a43efeb57140955291945da76e6521a6dc6dae7bf21dfd496ff446557f7b114"],
    why: "makes the group shadow where base-passwd did not; shadow files are made by the accounts hook",
  },
  {
    package: "libpam-modules",
    residues: ["aa555050dc2be6aa46c4e10f08f509a57b3b98563d3aafc1412b38b0616f8b06"],
    why: "makes the file of old passwords, which only root may read",
    gives: { attributes: [{ path: "/etc/security/opasswd", mode: 0o600 }] },
  },
  {
    package: "dbus-system-bus-common",
    residues: ["f7e0accb96b86973e6700ce65a6d83d906d3be70aa61e1ee02f70db6284afced"],
    why: "its user by adduser where systemd-sysusers is missing; sysusers.d/dbus.conf says the same",
    gives: {
      users: [{ name: "messagebus", home: "/nonexistent", shell: "/usr/sbin/nologin", comment: "System Message Bus" }],
    },
  },
  {
    package: "openssh-server",
    residues: [
      "981abfd9ce7515382731f65d64c275aa8c72f291e9055bfb4659048807cdce68",
      "c813eea8ae966d27a6dcc6c1e7bc55698a3271b01dc9a2798656c7dfb5b1f419",
    ],
    why: "fills in sshd_config from its template; host keys, which must never be in an image, come at boot or from the state volume",
    gives: { copies: [{ from: "/usr/share/openssh/sshd_config", path: "/etc/ssh/sshd_config", mode: 0o644 }] },
  },
  {
    package: "cron-daemon-common",
    residues: ["86a9227ea52cff1e527fa9429e411ad49989ed0bf832e00704af54fdfd496d6f"],
    why: "sets owners of crontabs that people already have",
  },
];
