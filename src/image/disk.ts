import { assert, failure } from "../base/error.ts";
import { installGrub } from "./boot/install-grub.ts";
import { type DiskRecipe, diskRecipe, type Extent, shifted } from "./extent.ts";
import { guidFrom, writeGpt } from "./gpt.ts";

/** Where partitions lie, on every disk, whatever its size: bytes. Placement relies on it. */
export const diskLayout = {
  biosBoot: { start: 1 << 20, length: 1 << 20 },
  efi: { start: 4 << 20, length: 512 << 20 },
  root: { start: 1 << 30 },
  defaultSize: 32 * 2 ** 30,
} as const;

export interface DiskOptions {
  /** Bytes; 32 GiB unless said. */
  readonly size?: number;
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  /** Of `rootPartitionBytes(size)`. */
  readonly root: DiskRecipe;
  /** Names the root partition, and seeds every GUID. */
  readonly rootLabel: string;
  /** The FAT file system with the boot files, of `diskLayout.efi.length`. */
  readonly efi: DiskRecipe;
  /** Debian's boot.img and the core image of `grubCoreImage`: makes the disk start under BIOS too. */
  readonly grub?: { readonly bootImage: Uint8Array; readonly coreImage: Uint8Array };
}

/**
 * A whole disk: GPT, a BIOS boot partition with GRUB's core, the EFI system partition and the root file
 * system, at fixed places. The GUIDs come from the root's label, so machines of one label share them.
 *
 * @throws MesoError `image-size` when a file system does not have its partition's size, and as `installGrub`.
 */
export function buildDisk(options: DiskOptions): DiskRecipe {
  const size = options.size ?? diskLayout.defaultSize;
  const rootBytes = rootPartitionBytes(size);
  const { biosBoot, efi, root } = diskLayout;
  if (options.root.size !== rootBytes) throw wrongSize("root file system", options.root.size, rootBytes);
  if (options.efi.size !== efi.length) throw wrongSize("EFI file system", options.efi.size, efi.length);
  const seed = (what: string) => guidFrom(`mesoforge disk ${options.rootLabel} ${what}`);
  const grub =
    options.grub &&
    installGrub(options.grub.bootImage, options.grub.coreImage, {
      partitionStartSector: biosBoot.start / 512,
      partitionBytes: biosBoot.length,
    });
  const table = writeGpt({
    diskSize: size,
    diskGuid: seed("disk"),
    partitions: [
      { name: "bios-boot", typeGuid: partitionTypes.biosBoot, guid: seed("bios-boot"), ...biosBoot },
      { name: "efi", typeGuid: partitionTypes.efi, guid: seed("efi"), ...efi },
      {
        name: options.rootLabel,
        typeGuid: rootType(options),
        guid: seed("root"),
        start: root.start,
        length: rootBytes,
      },
    ],
    ...(grub && { bootCode: grub.bootCode }),
  });
  const core: Extent[] = grub
    ? [{ start: biosBoot.start, length: grub.partition.length, source: { kind: "bytes", bytes: grub.partition } }]
    : [];
  return diskRecipe(
    size,
    [...table, ...core, ...shifted(options.efi.extents, efi.start), ...shifted(options.root.extents, root.start)],
    [...shifted(options.efi.free ?? [], efi.start), ...shifted(options.root.free ?? [], root.start)],
  );
}

/** Bytes for the root file system of a disk: all after 1 GiB but the last MiB, where the backup table lies. */
export function rootPartitionBytes(diskSize: number = diskLayout.defaultSize): number {
  const bytes = Math.floor(diskSize / 2 ** 20) * 2 ** 20 - diskLayout.root.start - 2 ** 20;
  if (diskSize % 512 !== 0 || bytes < 2 ** 28) {
    throw failure("image-size", `a disk of ${diskSize} bytes`, {
      expected: "at least 1.3 GiB, a multiple of 512 bytes",
    });
  }
  return bytes;
}

/** The GUIDs of UEFI, GRUB's manual ("BIOS installation") and the Discoverable Partitions Specification. */
const partitionTypes = {
  biosBoot: "21686148-6449-6e6f-744e-656564454649",
  efi: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  root: {
    amd64: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    arm64: "b921b045-1df0-41c3-af44-4c6f280d3fae",
    riscv64: "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
  } as Readonly<Record<string, string>>,
} as const;

function rootType({ architecture }: DiskOptions): string {
  const type = partitionTypes.root[architecture];
  assert(type !== undefined, `no partition type for ${architecture}`);
  return type;
}

function wrongSize(what: string, found: number, expected: number) {
  return failure("image-size", `the ${what} has ${found} bytes`, { expected: `${expected} bytes, as its partition` });
}
