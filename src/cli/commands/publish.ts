import { deployCommand } from "../deploy-command.ts";

export const publish = deployCommand("publish", {
  examples: ["publish", "publish 'slurm/*'"],
  details:
    "Builds images and writes them into the pool under dated names. What the pool has already is not written again.",
});
