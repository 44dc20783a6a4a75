import { formatSeconds } from "../../base/progress.ts";
import { centreOptions, withCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";
import { confirm } from "../confirm.ts";

export const unlock: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {
    ...centreOptions,
    yes: { type: "boolean", short: "y", description: "take it away without asking" },
  },
  examples: ["unlock"],
  details:
    "Shows who works on the pool and takes the lease away. A lease ends by itself two minutes after its holder was killed;\n" +
    "take it away only when you know that nobody works there: whoever still did stops before its next change.",
  run: (context) =>
    withCentre(context, async ({ pool }) => {
      const lease = await pool.lease();
      if (context.json) context.print(JSON.stringify({ lease: lease ?? null }, undefined, 2));
      if (!lease) {
        if (!context.json) context.print(`nobody works on ${pool.title}`);
        return undefined;
      }
      const now = Date.now() / 1000;
      if (!context.json) {
        const left = lease.expires > now ? `ends in ${formatSeconds(lease.expires - now)}` : "has ended";
        context.print(`${lease.holder}: ${lease.purpose}, for ${formatSeconds(now - lease.since)}; the lease ${left}`);
      }
      if (!(await confirm(context, "Take it away?"))) return 1;
      await pool.releaseLease(undefined);
      return undefined;
    }),
};
