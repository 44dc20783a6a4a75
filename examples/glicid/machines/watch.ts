// What looks at the others: their logs.

import { type Machine, pipe } from "mesoforge";
import { firewall, rsyslog, withServices } from "mesoforge/services";
import { glicidNet } from "../networks.ts";
import { offered } from "../site.ts";
import { oneDisk } from "../template/v3.ts";
import { virtualMachine } from "./machine.ts";

const logServer = pipe(
  oneDisk,
  withServices(rsyslog({ listen: { tcp: offered.logs.port } })),
  withServices(firewall({ policy: "closed", trusted: [glicidNet.range] })),
);

export const watch: Readonly<Record<string, Machine>> = {
  "watch/logs": virtualMachine("logs", 250, logServer, { memory: "2GiB" }),
};
