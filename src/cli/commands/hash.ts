import { existsSync, lstatSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { failure } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import { sha256Forms } from "../../packages/hash-text.ts";
import { narHash } from "../../store/nar.ts";
import { type Command, exitCodes } from "../command.ts";

export const hashCommand: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    recursive: {
      type: "boolean",
      short: "r",
      description: "of the archive (NAR) of a file or folder, as git origins want it",
    },
    format: { type: "string", placeholder: "FORMAT", description: "hex, base32 or sri (default: sri)" },
  },
  examples: ["hash hello-2.12.tar.gz", "hash -r checkout"],
  details: "Prints the SHA-256 that a package's field sha256 takes. A folder is always hashed as an archive.",
  async run(context) {
    const file = resolve((context.positionals as [string])[0]);
    const { recursive, format = "sri" } = context.options;
    if (!existsSync(file)) throw failure("no-such-file", `${file} is not there`);
    const whole = recursive === true || lstatSync(file).isDirectory();
    const forms = sha256Forms(whole ? narHash(file).sha256 : sha256(readFileSync(file)));
    if (format !== "hex" && format !== "base32" && format !== "sri") {
      throw failure("bad-format", `found --format ${String(format)}`, { expected: "hex, base32 or sri" });
    }
    context.print(context.json ? JSON.stringify(forms, undefined, 2) : forms[format]);
    return exitCodes.success;
  },
};
