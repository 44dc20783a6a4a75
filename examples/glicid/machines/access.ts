// Who may come in: the directory and its replica, two bastions that let people through to the cluster, and the way out
// for mail.

import { type Machine, pipe, secret } from "mesoforge";
import {
  bastion,
  ldapGroup,
  mailRelay,
  organizationalUnit,
  slapd,
  users,
  withHardening,
  withServices,
} from "mesoforge/services";
import { cciplClusterNet, domain, glicidNet } from "../networks.ts";
import { offered } from "../site.ts";
import { directoryBase, knowsPeople, oneDisk, twoDisks } from "../template/v3.ts";
import { stateDisk, virtualMachine } from "./machine.ts";

const inside = [glicidNet.range, cciplClusterNet.range];
const replicator = secret("ldap-replicator");

const provider = pipe(
  twoDisks,
  withServices(
    slapd({
      suffix: directoryBase,
      rootPassword: secret("ldap-admin"),
      tree: [
        organizationalUnit("people", directoryBase),
        organizationalUnit("groups", directoryBase),
        ldapGroup({ name: "staff", gid: 20001 }, `ou=groups,${directoryBase}`),
        ldapGroup({ name: "researchers", gid: 20002 }, `ou=groups,${directoryBase}`),
      ],
      replicas: { password: replicator },
      clients: inside,
    }),
  ),
  withHardening(),
);

const replica = pipe(
  twoDisks,
  withServices(
    slapd({
      suffix: directoryBase,
      replicaOf: { server: offered.directories[0], password: replicator },
      clients: inside,
    }),
  ),
  withHardening(),
);

const gate = pipe(
  oneDisk,
  knowsPeople("staff", "researchers"),
  withServices(
    bastion({ passengers: ["researchers"], operators: ["root", "adm", "staff"], targets: offered.logins }),
    users({ sudo: [{ group: "staff" }] }),
  ),
  withHardening(),
);

const mail = pipe(
  oneDisk,
  withServices(
    mailRelay({
      to: { host: "smtp.university.example", port: 587 },
      domain,
      administrator: "infrastructure@glicid.example",
      clients: inside,
      encryption: "required",
      login: { user: "glicid", password: secret("mail-relay") },
    }),
  ),
  withHardening(),
);

const directory = { group: "directory", ...stateDisk("8GiB") };

export const access: Readonly<Record<string, Machine>> = {
  "access/ldap-1": virtualMachine("ldap-1", 260, provider, directory),
  "access/ldap-2": virtualMachine("ldap-2", 261, replica, directory),
  "access/bastion-1": virtualMachine("bastion-1", 262, gate, { group: "bastions" }),
  "access/bastion-2": virtualMachine("bastion-2", 263, gate, { group: "bastions" }),
  "access/mail": virtualMachine("mail", 264, mail),
};
