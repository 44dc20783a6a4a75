import { existsSync } from "node:fs";
import { failure } from "../../base/error.ts";
import { formatLocation } from "../../base/location.ts";
import { nearestHint } from "../../base/nearest.ts";
import { openSystem } from "../../build/open-system.ts";
import { type PreparedSystem, prepareSystem } from "../../build/prepare.ts";
import type { OperatingSystem } from "../../language/operating-system.ts";
import { locationOf } from "../../language/record.ts";
import { serviceCatalogue } from "../../services/catalogue.ts";
import { describedService } from "../../services/described-service.ts";
import { withoutOrigins } from "../../system/manifest-hash.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { programSession } from "../program-session.ts";
import { serviceText } from "../service-text.ts";

export const systemDescribe: Command = {
  positionals: "FILE|SERVICE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: { lock: programOptions.lock },
  examples: [
    "system describe examples/mini-1.ts",
    "system describe --json examples/mini-1.ts",
    "system describe slurmctld",
  ],
  details:
    "With -v also every package, generated file and where it comes from. --json prints the whole manifest.\nOf a service of the catalogue it tells each option with type, default and meaning, and shows a use of it.",
  async run(context) {
    const [file] = context.positionals as [string];
    if (isName(file)) return void context.print(aboutService(file, context.json));
    const os = await openSystem(file);
    const prepared = await prepareSystem(programSession(context, file), os);
    if (context.json) {
      const packages = prepared.packages.map(({ name, version, architecture, sha256 }) => ({
        name,
        version,
        architecture,
        sha256,
      }));
      const manifest = withoutOrigins(prepared.manifest);
      return void context.print(JSON.stringify({ systemHash: prepared.systemHash, packages, manifest }, undefined, 2));
    }
    for (const line of describe(os, prepared, context)) context.print(line);
    return undefined;
  },
};

/** A word that is no file here. */
function isName(given: string): boolean {
  return /^[A-Za-z][A-Za-z0-9-]*$/.test(given) && !existsSync(given);
}

function aboutService(word: string, asJson: boolean): string {
  const all = serviceCatalogue().map(describedService);
  const found = all.find(({ name, function: call }) => name === word || call === word);
  if (found !== undefined) return asJson ? JSON.stringify(found, undefined, 2) : serviceText(found);
  const names = all.map(({ name }) => name);
  throw failure("no-match", `${word} is neither a file nor a service of the catalogue`, {
    hint: "meso system search lists the services",
    ...nearestHint(word, names),
  });
}

function describe(
  os: OperatingSystem,
  { manifest, packages, sources, systemHash, channel }: PreparedSystem,
  context: CommandContext,
): string[] {
  const suites = channel.suites.map(({ suite, date }) => `${suite} of ${date.slice(0, 10)}`).join(", ");
  const device = (one: (typeof manifest.fileSystems)[number]["device"]): string =>
    one.kind === "label"
      ? `label ${one.label}`
      : one.kind === "uuid"
        ? one.uuid
        : one.kind === "path"
          ? one.path
          : "none";
  const people = manifest.users.filter((user) => !user.system);
  return [
    `host name    ${manifest.hostName}`,
    `system       ${systemHash}`,
    `architecture ${manifest.architecture}`,
    `channel      ${suites}`,
    `kernel       ${manifest.kernel.package} ${manifest.kernel.arguments.join(" ")}`,
    ...manifest.fileSystems.map((one) => `file system  ${one.mountPoint} (${one.type}, ${device(one.device)})`),
    `packages     ${manifest.packages.length} wished for, ${packages.length} in all`,
    ...(context.verbose ? packages.map(({ name, version }) => `  ${name} ${version}`) : []),
    ...sources.map(({ name, version, replaces }) => {
      const inPlaceOf = replaces.length > 0 ? `, in place of ${replaces.join(", ")}` : "";
      return `from source  ${name} ${version}${inPlaceOf}`;
    }),
    `services     ${os.services.length}`,
    ...os.services.map((service) => {
      const where = locationOf(service);
      return `  ${service.name.padEnd(20)} ${service.type.description}${context.verbose && where ? ` (${formatLocation(where, process.cwd())})` : ""}`;
    }),
    `units        ${manifest.enabledUnits.join(", ")}`,
    `users        ${people.map(({ name, uid }) => `${name} (${uid})`).join(", ") || "none beside root"}`,
    `files        ${manifest.files.length} generated`,
    ...(context.verbose ? manifest.files.map((one) => `  ${one.path}  (${one.origin.by})`) : []),
    `checks       ${manifest.checks.map(({ name }) => name).join("; ") || "none"}`,
  ];
}
