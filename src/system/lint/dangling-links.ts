import type { FileTree } from "../../store/file-tree.ts";
import { realPath } from "../draft-tree.ts";
import type { Check, Finding } from "./finding.ts";

/** Links that lead nowhere on purpose, with the reason. */
const allowed: readonly { readonly path: RegExp; readonly why: string }[] = [
  {
    path: /^\/usr\/share\/(doc|man|info|locale|bug|lintian)\//,
    why: "documentation of packages that are not installed",
  },
  { path: /^\/usr\/lib\/modules\/[^/]+\/(build|source)$/, why: "headers are another package" },
  { path: /^\/usr\/share\/zoneinfo\/localtime$/, why: "the time zone is the record's to say" },
  { path: /^\/var\/lib\/wtmpdb\/wtmp\.db$/, why: "made at the first login" },
];

/** Where links may lead to what only a running machine has. */
const madeAtBoot = /^\/(proc|run|dev|sys|tmp|var\/run|var\/lock)(\/|$)/;

/** Symbolic links whose target is not in the tree. Missing targets of alternatives are errors, others warnings. */
export const danglingLinks: Check = ({ tree }) => {
  const findings: Finding[] = [];
  for (const [path, entry] of tree) {
    if (entry.kind !== "symlink" || allowed.some((rule) => rule.path.test(path))) continue;
    const target = end(tree, path);
    if (target !== undefined && (tree.has(target) || madeAtBoot.test(target))) continue;
    const isAlternative = path.startsWith("/etc/alternatives/");
    findings.push({
      check: isAlternative ? "missing-alternative" : "dangling-link",
      severity: isAlternative ? "error" : "warning",
      path,
      origin: entry.origin,
      what: target === undefined ? "goes round in circles" : `leads to ${target}, which is not there`,
      hint: isAlternative
        ? "choose another target in alternatives"
        : "install what brings the target, or leave the link out",
    });
  }
  return findings;
};

function end(tree: FileTree, path: string): string | undefined {
  try {
    return realPath(tree, path);
  } catch {
    return undefined;
  }
}
