import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runInSandbox } from "../../store/sandbox.ts";

/** What a tool root for `grubCoreImage` must hold: Debian's grub-common and grub-pc-bin with their libraries. */
export const grubTools = { binaries: ["/usr/bin/grub-mkimage"], extraPaths: ["/usr/lib/grub/i386-pc"] } as const;

/** The packages that bring them, without their dependencies. */
export const grubPackages = ["grub-common", "grub-pc-bin"] as const;

/**
 * GRUB's core image for BIOS. It looks for `/grub/grub.cfg` on the second partition of the disk that the
 * BIOS started ("(,gpt2)": GRUB's kern/main.c puts the boot drive before the comma), so the same bytes
 * serve every machine, whatever other disks it has.
 *
 * @param options.folder does not exist yet, and no longer afterwards; what a killed process leaves in it is its owner's
 *   to remove.
 * @throws what `runInSandbox` throws.
 */
export async function grubCoreImage(options: {
  toolRoot: string;
  folder: string;
  signal?: AbortSignal;
}): Promise<Buffer> {
  const { folder } = options;
  await mkdir(folder);
  try {
    await runInSandbox({
      root: options.toolRoot,
      binds: [{ from: folder, to: "/out", writable: true }],
      command: [
        ...["/usr/bin/grub-mkimage", "-O", "i386-pc", "-d", "/usr/lib/grub/i386-pc"],
        ...["-p", "(,gpt2)/grub", "-o", "/out/core.img", ...modules],
      ],
      timeoutSeconds: 120,
      ...(options.signal && { signal: options.signal }),
    });
    return await readFile(join(folder, "core.img"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `normal` reads the configuration; `minicmd`, `ls`, `cat` and `echo` serve whoever stands at its prompt. */
const modules = [
  ...["biosdisk", "part_gpt", "part_msdos", "fat", "normal", "configfile", "linux", "test", "echo", "sleep"],
  ...["serial", "terminal", "search", "search_fs_uuid", "search_label", "minicmd", "ls", "cat", "reboot", "halt"],
  ...["all_video", "gfxterm", "boot", "chain"],
];
