import { relative } from "node:path";
import { failure } from "../../base/error.ts";
import { formatBytes, formatSeconds } from "../../base/progress.ts";
import { parseSize } from "../../base/size.ts";
import { type DiskImage, diskImage } from "../../build/disk-image.ts";
import { openSystem } from "../../build/open-system.ts";
import { type OutputFormat, outputFormats, writeOutput } from "../../build/output-file.ts";
import { type PreparedSystem, prepareSystem } from "../../build/prepare.ts";
import type { BuildSession } from "../../build/session.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { printDryRun } from "../dry-run.ts";
import { programSession } from "../program-session.ts";

export const systemImage: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    output: { type: "string", short: "o", placeholder: "FILE", description: "where to write (default: HOSTNAME.img)" },
    format: { type: "string", placeholder: outputFormats.join("|"), description: "raw (sparse, the default) or qcow2" },
    size: {
      type: "string",
      placeholder: "SIZE",
      description: "size of the disk (default: 32GiB); thin: only data is written",
    },
    "in-place": {
      type: "boolean",
      description: "write only what changed into a raw FILE of an earlier run; nothing may be using it",
    },
    boot: { type: "boolean", description: "then boot it in QEMU until the login prompt, and stop it" },
    ...programOptions,
  },
  examples: [
    "system image examples/mini-1.ts -o mini-1.img",
    "system image --format qcow2 -o mini-1.qcow2 examples/mini-1.ts",
  ],
  details: "The same program and lock give the same bytes on any machine, as any user, in any folder.",
  async run(context) {
    const [file] = context.positionals as [string];
    const format = formatOf(context);
    const { size } = context.options;
    const diskSize = typeof size === "string" ? { size: parseSize(size) } : {};
    const session = programSession(context, file);
    const prepared = await prepareSystem(session, await openSystem(file));
    if (context.options["dry-run"]) return void printDryRun(context, session, prepared);
    const image = await diskImage(session, prepared, diskSize);
    const { hostName } = prepared.manifest;
    const extension = format === "raw" ? "img" : format;
    const { output } = context.options;
    const path = typeof output === "string" ? output : `${hostName}.${extension}`;
    const written = await writeOutput(session, image, { path, format, inPlace: context.options["in-place"] === true });
    const boot = context.options.boot
      ? await (await import("../boot-to-login.ts")).bootToLogin(context, session, prepared, { kind: format, path })
      : undefined;
    printSummary(context, session, { prepared, image, path, format, written, boot });
    return undefined;
  },
};

interface Summary {
  readonly prepared: PreparedSystem;
  readonly image: DiskImage;
  readonly path: string;
  readonly format: OutputFormat;
  readonly written: number;
  readonly boot: { readonly seconds: number; readonly accelerator: string } | undefined;
}

function printSummary(context: CommandContext, session: BuildSession, summary: Summary): void {
  const { prepared, image, path, format, written, boot } = summary;
  const stages = Object.fromEntries(session.stages);
  if (context.json) {
    const { systemHash } = prepared;
    const { imageHash, dataBytes } = image;
    context.print(JSON.stringify({ systemHash, imageHash, path, format, dataBytes, written, stages }, undefined, 2));
    return;
  }
  const times = Object.entries(stages).filter(([, seconds]) => seconds >= 0.005);
  context.print("");
  context.print(`system  ${prepared.systemHash}`);
  context.print(`image   ${image.imageHash}`);
  context.print(
    `file    ${path} (${format}, ${formatBytes(image.dataBytes)} of data in ${image.recipe.extents.length} extents)`,
  );
  context.print(`time    ${times.map(([name, seconds]) => `${name} ${formatSeconds(seconds)}`).join(", ")}`);
  if (!boot) return;
  const program = context.positionals[0]!;
  const command = process.env.MESO_CALLED_AS ?? "meso";
  context.print(
    `booted  to "${prepared.manifest.hostName} login:" in ${formatSeconds(boot.seconds)} (${boot.accelerator})`,
  );
  context.print("");
  context.print("To log in, boot it again without writing an image; on this console, root needs no password:");
  context.print(`  ${command} system vm ${relative(process.cwd(), program)}`);
}

function formatOf({ options }: CommandContext): OutputFormat {
  const format = options.format ?? "raw";
  if (outputFormats.includes(format as OutputFormat)) return format as OutputFormat;
  throw failure("usage", `found the format ${JSON.stringify(format)}`, { expected: outputFormats.join(" or ") });
}
