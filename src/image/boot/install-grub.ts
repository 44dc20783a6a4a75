import { assert, failure } from "../../base/error.ts";

const sectorBytes = 512;

/**
 * What `grub-bios-setup` writes, as values: boot code for the MBR and the contents of the BIOS boot
 * partition. Offsets by their names in GRUB's include/grub/i386/pc/boot.h, the steps those of its
 * util/setup.c: boot.img learns where the core image starts, the core image's first sector (diskboot.img)
 * learns where its rest lies and where to load it.
 *
 * @param options.partitionStartSector first sector of the BIOS boot partition, in sectors of 512 bytes.
 * @throws MesoError `bad-grub-image` when the files are not GRUB's, `no-room` when the core is too long.
 */
export function installGrub(
  bootImage: Uint8Array,
  coreImage: Uint8Array,
  options: { partitionStartSector: number; partitionBytes: number },
): { bootCode: Uint8Array; partition: Uint8Array } {
  const { partitionStartSector: start, partitionBytes } = options;
  assert(Number.isSafeInteger(start) && start > 0, `partition start ${start} is not a sector`);
  if (bootImage.length !== sectorBytes || bootImage[510] !== 0x55 || bootImage[511] !== 0xaa) {
    throw failure("bad-grub-image", "boot.img is not a boot sector", { expected: "512 bytes that end in 55 aa" });
  }
  if (coreImage.length < 2 * sectorBytes) {
    throw failure("bad-grub-image", `core.img has only ${coreImage.length} bytes`, {
      expected: "what grub-mkimage makes",
    });
  }
  const sectors = Math.ceil(coreImage.length / sectorBytes);
  if (sectors * sectorBytes > partitionBytes) {
    throw failure("no-room", `GRUB's core image of ${coreImage.length} bytes does not fit the BIOS boot partition`, {
      expected: `at most ${partitionBytes} bytes`,
    });
  }
  return { bootCode: patchedBootCode(bootImage, start), partition: patchedCore(coreImage, start, sectors) };
}

/** GRUB_BOOT_MACHINE_KERNEL_SECTOR */
const kernelSectorOffset = 0x5c;
/** GRUB_BOOT_MACHINE_BOOT_DRIVE; 0xff: the drive that the BIOS names. */
const bootDriveOffset = 0x64;
/** GRUB_BOOT_MACHINE_DRIVE_CHECK: two no-operations trust a hard disk's drive number less (old BIOSes pass 0). */
const driveCheckOffset = 0x66;
/** Boot code ends where the MBR keeps its disk signature and partition table. */
const bootCodeBytes = 440;

function patchedBootCode(bootImage: Uint8Array, coreSector: number): Uint8Array {
  const boot = Buffer.from(bootImage.subarray(0, bootCodeBytes));
  boot.writeBigUInt64LE(BigInt(coreSector), kernelSectorOffset);
  boot[bootDriveOffset] = 0xff;
  boot[driveCheckOffset] = 0x90;
  boot[driveCheckOffset + 1] = 0x90;
  return boot;
}

/** The first block list stands at the end of the first sector: start (8), length (2), segment (2). */
const firstListOffset = sectorBytes - 12;
/** GRUB_BOOT_I386_PC_KERNEL_SEG, and one sector on: the first sector itself is already there. */
const loadSegment = 0x800 + (sectorBytes >> 4);

function patchedCore(coreImage: Uint8Array, start: number, sectors: number): Uint8Array {
  const core = Buffer.alloc(sectors * sectorBytes);
  core.set(coreImage);
  core.writeBigUInt64LE(BigInt(start + 1), firstListOffset);
  core.writeUInt16LE(sectors - 1, firstListOffset + 8);
  core.writeUInt16LE(loadSegment, firstListOffset + 10);
  return core;
}
