import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { type ChangelogEntry, changelogEntries } from "./changelog.ts";

/** For tests only: our reader and dpkg-parsechangelog(1) find the same entries. */
export function agreesWithDpkg(text: string): void {
  const ours = [...changelogEntries(text)].map((one) => ({
    package: one.package,
    version: one.version,
    urgency: one.urgency,
    maintainer: one.maintainer,
    changes: one.changes,
  }));
  assert.ok(ours.length > 0);
  assert.deepEqual(ours, oracle(text));
}

/** What dpkg-parsechangelog(1) reads, newest first. */
function oracle(text: string): Pick<ChangelogEntry, "package" | "version" | "urgency" | "maintainer" | "changes">[] {
  const { stdout, error } = spawnSync("dpkg-parsechangelog", ["-l", "-", "--all", "--format", "rfc822"], {
    encoding: "utf8",
    input: text,
    maxBuffer: 64 << 20,
    env: { ...process.env, LC_ALL: "C.UTF-8" },
  });
  assert.equal(error, undefined);
  return stdout
    .split(/\n\n+(?=Source: )/)
    .filter((stanza) => stanza.startsWith("Source: "))
    .map((stanza) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
      const lines = /^Changes:.*\n((?: .*\n?)*)/m.exec(stanza)?.[1] ?? "";
      // Each line is indented by one; blank ones are a dot; the first tells the header again.
      const changes = lines.split("\n").map((line) => line.slice(1).replace(/^\.$/, ""));
      return {
        package: field("Source"),
        version: field("Version"),
        urgency: field("Urgency").toLowerCase(),
        maintainer: field("Maintainer"),
        changes: changes
          .slice(1)
          .join("\n")
          .replace(/^\n+|\n+$/g, ""),
      };
    });
}
