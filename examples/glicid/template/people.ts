// The administrators, and their public keys: put your own here.

import type { Administrator } from "mesoforge/services";

export const people: readonly Administrator[] = [
  {
    name: "yann",
    comment: "Yann, infrastructure",
    authorizedKeys: [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lc29mb3JnZSBleGFtcGxlIGtleSwgbm90IHVzZWQgYW55 yann@glicid.example",
    ],
  },
  {
    name: "alice",
    comment: "Alice, software",
    authorizedKeys: [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lc29mb3JnZSBleGFtcGxlIGtleSwgbm90IHVzZWQgYW5t alice@glicid.example",
    ],
  },
];
