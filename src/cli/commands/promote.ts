import { deployCommand } from "../deploy-command.ts";

export const promote = deployCommand("promote", {
  examples: ["promote web/one"],
  details: "As meso verify, and then gives candidates the names that the hypervisor attaches. No machine is touched.",
});
