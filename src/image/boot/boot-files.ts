import { assert, failure } from "../../base/error.ts";
import { sortedBy } from "../../base/order.ts";
import type { FileEntry } from "../../store/file-tree.ts";

/** One system to start, on the EFI system partition. */
export interface BootEntry {
  /** Letters, digits, `.`, `_`, `-`: names a folder and a file. */
  readonly id: string;
  readonly title: string;
  readonly kernel: Pick<FileEntry, "size" | "content">;
  readonly initrd: Pick<FileEntry, "size" | "content">;
  readonly arguments: readonly string[];
}

export interface BootFilesOptions {
  /** Debian's name: `amd64`, `arm64`, `riscv64`. */
  readonly architecture: string;
  /** The first one starts by itself. */
  readonly entries: readonly BootEntry[];
  /** Seconds. */
  readonly timeout: number;
  /** systemd-boot's EFI program, from the package systemd-boot-efi, where `systemdBootPath` says. */
  readonly systemdBoot?: Pick<FileEntry, "size" | "content">;
}

/** A file of the EFI system partition; folders go without saying. */
export interface BootFile extends Pick<FileEntry, "size" | "content"> {
  readonly path: string;
}

/**
 * The files of the EFI system partition: kernel and initrd once, and beside them what GRUB (BIOS) and
 * systemd-boot (UEFI) each need to show the same entries.
 *
 * @throws MesoError `boot-entry` for an identifier or argument that the loaders could not carry.
 */
export function bootFiles(options: BootFilesOptions): BootFile[] {
  assert(options.entries.length > 0, "nothing to boot");
  options.entries.forEach(checkEntry);
  const files = new Map<string, Pick<FileEntry, "size" | "content">>();
  for (const entry of options.entries) {
    files.set(kernelPath(entry), entry.kernel);
    files.set(initrdPath(entry), entry.initrd);
  }
  if (options.architecture === "amd64") files.set("/grub/grub.cfg", textFile(grubConfiguration(options)));
  if (options.systemdBoot) {
    files.set(efiName(options.architecture).removable, options.systemdBoot);
    files.set("/loader/loader.conf", textFile(loaderConfiguration(options)));
    for (const entry of options.entries) files.set(`/loader/entries/${entry.id}.conf`, textFile(loaderEntry(entry)));
  }
  return sortedBy(files, ([path]) => path).map(([path, file]) => ({ path, ...file }));
}

/** Where systemd-boot's program lies in Debian's package for an architecture; absent: UEFI is not supported. */
export function systemdBootPath(architecture: string): string | undefined {
  const name = efiNames[architecture];
  return name && `/usr/lib/systemd/boot/efi/systemd-boot${name}.efi`;
}

/** By the UEFI specification, section 3.5.1.1 (removable media boot behaviour). */
const efiNames: Readonly<Record<string, string>> = { amd64: "x64", arm64: "aa64", riscv64: "riscv64" };

function efiName(architecture: string) {
  const name = efiNames[architecture];
  assert(name !== undefined, `no EFI name for ${architecture}`);
  return { removable: `/EFI/BOOT/BOOT${name.toUpperCase()}.EFI` };
}

const kernelPath = (entry: BootEntry) => `/meso/${entry.id}/vmlinuz`;
const initrdPath = (entry: BootEntry) => `/meso/${entry.id}/initrd.img`;

function grubConfiguration({ entries, timeout }: BootFilesOptions): string {
  const menu = entries.flatMap((entry) => [
    `menuentry ${quoted(entry.title)} --id ${quoted(entry.id)} {`,
    `  linux ${kernelPath(entry)} ${entry.arguments.map(quoted).join(" ")}`,
    `  initrd ${initrdPath(entry)}`,
    "}",
  ]);
  return lines([
    "serial --unit=0 --speed=115200",
    "terminal_input console serial",
    "terminal_output console serial",
    "set default=0",
    `set timeout=${timeout}`,
    ...menu,
  ]);
}

/** GRUB's script language reads single quotes as a shell does. */
function quoted(text: string): string {
  return /^[\w./=:,+@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function loaderConfiguration({ entries, timeout }: BootFilesOptions): string {
  return lines([`default ${entries[0]!.id}.conf`, `timeout ${timeout}`, "console-mode keep"]);
}

/** Boot Loader Specification, type #1. Paths with `/` are from the partition's root. */
function loaderEntry(entry: BootEntry): string {
  return lines([
    `title ${entry.title}`,
    `linux ${kernelPath(entry)}`,
    `initrd ${initrdPath(entry)}`,
    `options ${entry.arguments.join(" ")}`,
  ]);
}

function checkEntry(entry: BootEntry): void {
  const bad = (what: string, expected: string) =>
    failure("boot-entry", `boot entry "${entry.id}": ${what}`, { expected });
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(entry.id)) throw bad("bad identifier", "letters, digits, . _ -");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (/[\x00-\x1f\x7f]/.test(entry.title)) throw bad("its title holds a control character", "one line of text");
  for (const argument of entry.arguments) {
    // GRUB's loader puts backslashes before quotes, systemd-boot does not: one word must mean the same to both.
    if (!/^[\x21-\x7e]+$/.test(argument) || /["'\\]/.test(argument)) {
      throw bad(`kernel argument ${JSON.stringify(argument)}`, "ASCII without spaces, quotes and backslashes");
    }
  }
}

const lines = (list: readonly string[]) => list.map((line) => `${line.trimEnd()}\n`).join("");
const textFile = (text: string) => bytesFile(Buffer.from(text, "utf8"));
const bytesFile = (bytes: Uint8Array) => ({ size: bytes.length, content: { kind: "bytes" as const, bytes } });
