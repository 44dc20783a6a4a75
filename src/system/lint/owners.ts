import { fileAt } from "../draft-tree.ts";
import type { Check, Finding, LintInput } from "./finding.ts";

/** Paths that belong to numbers without a name: another account may get them one day. */
export const owners: Check = (input) => {
  const users = numbers(input, "/etc/passwd");
  const groups = numbers(input, "/etc/group");
  const findings: Finding[] = [];
  for (const [path, { uid, gid, origin }] of input.tree) {
    const unknown = !users.has(uid) ? `user ${uid}` : !groups.has(gid) ? `group ${gid}` : undefined;
    if (unknown === undefined) continue;
    findings.push({
      check: "unknown-owner",
      severity: "error",
      path,
      origin,
      what: `belongs to the ${unknown}, which has no name`,
      hint: "give the path to an account that exists",
    });
  }
  return findings;
};

function numbers({ tree, readFile }: LintInput, path: string): Set<number> {
  const entry = fileAt(tree, path);
  const text = entry ? Buffer.from(readFile(entry)).toString("utf8") : "";
  return new Set(text.split("\n").flatMap((line) => (line === "" ? [] : [Number(line.split(":")[2])])));
}
