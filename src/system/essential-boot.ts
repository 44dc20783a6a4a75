import type { Problem } from "../base/error.ts";
import { MesoError } from "../base/error.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { aLine, aModuleName, kernelWords } from "../language/operating-system.ts";
import type { Received } from "../language/service-type.ts";
import { extend } from "../language/service-type.ts";
import type { Content, Text } from "../language/text.ts";
import { programFile, text } from "../language/text.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import type { FileWish } from "./essential-part.ts";
import { collector, systemRoot } from "./essential-part.ts";
import type { UnitWish } from "./essential-units.ts";
import { systemdUnits, unit } from "./essential-units.ts";

/** Words for the kernel's command line, after those of the operating system. */
export const kernelArguments = collector<string>({
  name: "kernel-arguments",
  description: "Words of the kernel's command line.",
  check: kernelWords,
  extensions: [extend(systemRoot, ({ items }) => ({ kernelArguments: items }))],
});

/** Modules that the initrd loads. */
export const initrdModules = collector<string>({
  name: "initrd-modules",
  description: "Kernel modules that the initrd loads.",
  check: aModuleName,
  extensions: [extend(systemRoot, ({ items }) => ({ initrdModules: items }))],
});

/** Modules loaded at boot, by name. */
export const kernelModules = collector<string>({
  name: "kernel-modules",
  description: "Kernel modules that are loaded at boot (modules-load.d).",
  check: aModuleName,
  extensions: [extend(etcFiles, ({ items }) => linesFile("/etc/modules-load.d/meso.conf", valuesOf(items)))],
});

/** Lines of modprobe.d(5): `["options kvm ignore_msrs=1", "blacklist floppy"]`. */
export const modprobeOptions = collector<string>({
  name: "modprobe-options",
  description: "Options, aliases and blacklists of kernel modules (modprobe.d).",
  check: aLine,
  extensions: [extend(etcFiles, ({ items }) => linesFile("/etc/modprobe.d/meso.conf", valuesOf(items)))],
});

/** Kernel parameters: `{ "net.ipv4.ip_forward": 1 }`. Two services may not want two values. */
export const sysctl = collector<readonly [string, string | number], Readonly<Record<string, string | number>>>({
  name: "sysctl",
  description: "Kernel parameters set at boot (sysctl.d).",
  itemsOf: (parameters) => Object.entries(parameters),
  extensions: [
    // Since trixie ping has neither capability nor set-uid; Debian's own setting comes by a Recommends (iputils-ping).
    extend(etcFiles, () => linesFile("/etc/sysctl.d/10-meso.conf", ["-net.ipv4.ping_group_range = 0 2147483647"])),
    extend(etcFiles, ({ items }) =>
      linesFile(
        "/etc/sysctl.d/90-meso.conf",
        [...agreed("kernel parameter", items)].map(([key, value]) => `${key} = ${value}`),
      ),
    ),
  ],
});

/** Lines of tmpfiles.d(5): `["d /run/foo 0755 foo foo -"]`. */
export const tmpfiles = collector<string>({
  name: "tmpfiles",
  description: "Volatile and other files that are made at boot (tmpfiles.d).",
  check: aLine,
  extensions: [extend(etcFiles, ({ items }) => linesFile("/etc/tmpfiles.d/meso.conf", valuesOf(items)))],
});

/** A piece of shell run once at boot, when local file systems are mounted and before services start. */
export interface ActivationSnippet {
  readonly name: string;
  readonly script: Content;
  /** Smaller runs earlier; by name among equals. Default 50. */
  readonly order?: number;
}

/** Shell snippets run once at boot, as root, before any service starts. A failing one stops those after it. */
export const activation = collector<ActivationSnippet>({
  name: "activation",
  description: "Shell snippets that run once at boot, before services start.",
  extensions: [extend(systemdUnits, ({ items }) => activationUnits(items.map(({ value }) => value)))],
});

function activationUnits(snippets: readonly ActivationSnippet[]): UnitWish[] {
  if (snippets.length === 0) return [];
  const ordered = [...snippets].sort((a, b) => (a.order ?? 50) - (b.order ?? 50) || compareBytes(a.name, b.name));
  // Each in a subshell, so that variables, directories and options of one do not reach the next.
  const blocks: Text[] = ordered.map(({ name, script }) => text`\n# ${name}\n(\n${script}\n)\n`);
  const program = programFile("activate", text`#!/bin/sh\nset -eu\n${blocks}`);
  return [
    unit({
      name: "meso-activation.service",
      sections: {
        Unit: {
          Description: "Activation of the system",
          DefaultDependencies: false,
          RequiresMountsFor: "/",
          After: "local-fs.target systemd-tmpfiles-setup.service",
          Before: "sysinit.target",
          Conflicts: "shutdown.target",
        },
        Service: { Type: "oneshot", RemainAfterExit: true, ExecStart: program },
        Install: { WantedBy: "sysinit.target" },
      },
    }),
  ];
}

function valuesOf(items: readonly Received<string>[]): string[] {
  return items.map(({ value }) => value);
}

/** A file of these lines, sorted and each once; none when there are none. */
export function linesFile(path: string, lines: readonly string[]): FileWish[] {
  if (lines.length === 0) return [];
  return [etcFile(path, `${sortedBy(new Set(lines), (line) => line).join("\n")}\n`)];
}

/**
 * Values by key, sorted, when no two items want different ones.
 *
 * @throws MesoError `conflicting-values` that names both services of each conflict.
 */
export function agreed<Value>(what: string, items: readonly Received<readonly [string, Value]>[]): Map<string, Value> {
  const chosen = new Map<string, Received<readonly [string, Value]>>();
  const problems: Problem[] = [];
  for (const item of items) {
    const [key, value] = item.value;
    const earlier = chosen.get(key);
    if (!earlier) chosen.set(key, item);
    else if (earlier.value[1] !== value) problems.push(conflict(what, earlier, item));
  }
  if (problems.length > 0) throw new MesoError(problems);
  return new Map(sortedBy(chosen, ([key]) => key).map(([key, item]) => [key, item.value[1]]));
}

function conflict<Value>(
  what: string,
  first: Received<readonly [string, Value]>,
  second: Received<readonly [string, Value]>,
): Problem {
  const [key, value] = second.value;
  return {
    code: "conflicting-values",
    what: `${what} ${key} is ${first.value[1]} for ${first.origin.by} and ${value} for ${second.origin.by}`,
    ...(first.origin.where && { where: first.origin.where }),
    ...(second.origin.where && { also: second.origin.where }),
    hint: "make both the same, or take one away",
  };
}
