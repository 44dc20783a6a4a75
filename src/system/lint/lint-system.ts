import { compareBytes } from "../../base/order.ts";
import { danglingLinks } from "./dangling-links.ts";
import type { Finding, LintInput } from "./finding.ts";
import { kernelModules } from "./kernel-modules.ts";
import { linkedLibraries } from "./linked-libraries.ts";
import { owners } from "./owners.ts";
import { privateKeys } from "./private-keys.ts";
import { privilegedFiles } from "./privileged-files.ts";
import { units } from "./units.ts";

const checks = [units, kernelModules, danglingLinks, linkedLibraries, owners, privateKeys, privilegedFiles];

const severities = ["error", "warning", "note"];

/** Looks at a finished system for what fails silently. Worst first, then by check and path. */
export function lintSystem(input: LintInput): Finding[] {
  return checks
    .flatMap((check) => check(input))
    .sort(
      (a, b) =>
        severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
        compareBytes(a.check, b.check) ||
        compareBytes(a.path ?? "", b.path ?? ""),
    );
}
