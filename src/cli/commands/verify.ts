import { deployCommand } from "../deploy-command.ts";

export const verify = deployCommand("verify", {
  examples: ["verify", "verify web/one"],
  details:
    "Publishes what is new, boots each candidate in QEMU on a throw-away copy, with copies of its volumes, runs the checks\n" +
    "that its services declare, and writes the verdict on the image.",
});
