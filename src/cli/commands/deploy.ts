import { deployCommand } from "../deploy-command.ts";

export const deploy = deployCommand("deploy", {
  options: {
    plan: { type: "string", placeholder: "FILE", description: "carry out this plan, as meso plan -o FILE has kept it" },
    rehearse: { type: "boolean", description: "only tell what would happen, step by step, on a simulated copy" },
  },
  examples: [
    "deploy",
    "deploy web/one",
    "deploy --rehearse '@web'",
    "plan -o today.json && meso deploy --plan today.json",
  ],
  details:
    "Publishes the images that are new, tries each candidate in QEMU, then swaps roots, wave by wave. A machine whose new\n" +
    "root fails its checks goes back to the old one. Nothing is done when the world has moved since the plan was made.\n" +
    "Ends with 0 when all is done, 3: nothing to do, 4: rolled back, 5: partly done, 6: refused.",
});
