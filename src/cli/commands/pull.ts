import { basename } from "node:path";
import { pull } from "../../build/channel.ts";
import { hostArchitecture } from "../../build/host-architecture.ts";
import { openSystem } from "../../build/open-system.ts";
import { channelRequest } from "../../build/prepare.ts";
import type { BuildSession } from "../../build/session.ts";
import { type ChannelLock, readLock } from "../../debian/channel-lock.ts";
import type { ChannelRequest } from "../../debian/indices.ts";
import { lowerSystem } from "../../system/lower.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { folderSession, programSession } from "../program-session.ts";

export const pullCommand: Command = {
  positionals: "[FILE]",
  minimumPositionals: 0,
  maximumPositionals: 1,
  options: { lock: programOptions.lock },
  examples: ["pull examples/mini-1.ts", "pull"],
  details:
    "Fetches the signed indices of the channel of FILE, verifies them and writes their hashes into meso.lock.\n" +
    "Without FILE it refreshes every channel that the lock of this folder holds (trixie where there is none).",
  async run(context) {
    const [file] = context.positionals;
    const session = file === undefined ? folderSession(context) : programSession(context, file);
    const before = readLock(session.lockFile);
    const requests =
      file === undefined ? lockedRequests(before) : [channelRequest(lowerSystem(await openSystem(file)))];
    for (const request of requests) await pull(session, request);
    printChanges(context, session, before);
    return undefined;
  },
};

/** What the lock holds, as requests: `-updates` and `-security` suites belong to the one they complete. */
function lockedRequests(lock: ChannelLock | undefined): ChannelRequest[] {
  const suites = lock?.suites ?? [];
  const names = new Set(suites.map(({ suite }) => suite));
  const bases = suites.filter(({ suite }) => !/-(updates|security)$/.test(suite));
  if (bases.length === 0) {
    const architectures = [hostArchitecture()];
    return [{ suite: "trixie", components: ["main"], architectures, updates: true, security: true }];
  }
  return bases.map(({ suite, indices }) => ({
    suite,
    components: [...new Set(indices.map(({ component }) => component))],
    architectures: [...new Set(indices.map(({ architecture }) => architecture))].filter((name) => name !== "all"),
    updates: names.has(`${suite}-updates`),
    security: names.has(`${suite}-security`),
  }));
}

function printChanges(context: CommandContext, { lockFile }: BuildSession, before: ChannelLock | undefined): void {
  const suites = readLock(lockFile)?.suites ?? [];
  const dateBefore = new Map(before?.suites.map(({ suite, date }) => [suite, date]));
  if (context.json) {
    context.print(JSON.stringify({ lock: lockFile, suites }, undefined, 2));
    return;
  }
  for (const { suite, date } of suites) {
    const old = dateBefore.get(suite);
    const was = old === date ? "unchanged" : old === undefined ? "new" : `was ${old.slice(0, 16)}`;
    context.print(`${suite.padEnd(18)} ${date.slice(0, 16).replace("T", " ")} UTC  (${was})`);
  }
  context.print(`pinned in ${basename(lockFile)}`);
}
