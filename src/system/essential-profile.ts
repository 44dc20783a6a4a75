import type { PackageWish } from "../language/package-reference.ts";
import { aPackage } from "../language/package-reference.ts";
import { extend } from "../language/service-type.ts";
import { agreed } from "./essential-boot.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import type { CheckWish } from "./essential-part.ts";
import { collector, systemRoot } from "./essential-part.ts";

/** Debian packages of the system: names, or `debian("htop")`. */
export const profile = collector<PackageWish>({
  name: "profile",
  description: "Debian packages of the system.",
  check: aPackage,
  extensions: [extend(systemRoot, ({ items }) => ({ packages: items }))],
});

/** Variables of every login session (/etc/environment): `{ EDITOR: "vim" }`. */
export const environment = collector<readonly [string, string], Readonly<Record<string, string>>>({
  name: "environment",
  description: "Environment variables of every login session (/etc/environment).",
  itemsOf: (variables) => Object.entries(variables),
  extensions: [
    extend(etcFiles, ({ items }) => {
      const lines = [...agreed("the environment variable", items)].map(([name, value]) => `${name}=${quoted(value)}\n`);
      return [etcFile("/etc/environment", lines.join(""), { replacesPackageFile: true })];
    }),
  ],
});

/** Choices among alternatives: `{ editor: "/usr/bin/vim.basic" }`. */
export const alternatives = collector<readonly [string, string], Readonly<Record<string, string>>>({
  name: "alternatives",
  description: "Choices among programs that do the same (update-alternatives).",
  itemsOf: (choices) => Object.entries(choices),
  extensions: [
    extend(systemRoot, ({ items }) => {
      agreed("the alternative", items);
      return { alternatives: items };
    }),
  ],
});

/** How to see from inside that the system works, made by `unitActive`, `portAnswers`, `commandSucceeds`. */
export const checks = collector<CheckWish>({
  name: "checks",
  description: "Checks that a running machine must pass before it is promoted.",
  extensions: [extend(systemRoot, ({ items }) => ({ checks: items }))],
});

export function unitActive(unit: string): CheckWish {
  return { kind: "unit-active", name: `${unit} is active`, unit };
}

export function portAnswers(port: number, protocol: "tcp" | "udp" = "tcp"): CheckWish {
  return { kind: "port-answers", name: `${protocol} port ${port} answers`, port, protocol };
}

export function commandSucceeds(...command: readonly string[]): CheckWish {
  return { kind: "command-succeeds", name: `${command.join(" ")} succeeds`, command };
}

// pam_env(8) strips one pair of quotes and knows no escapes.
function quoted(value: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]*$/.test(value) ? value : `"${value}"`;
}
