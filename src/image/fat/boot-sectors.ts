import { failure } from "../../base/error.ts";
import { firstCluster, type Geometry, sectorBytes, sectorsPerCluster } from "./geometry.ts";

export interface Volume {
  readonly geometry: Geometry;
  /** 11 bytes, padded with spaces. */
  readonly label: Buffer;
  /** 32 bits. */
  readonly volumeId: number;
  /** Sectors before the volume on its disk. */
  readonly hiddenSectors: number;
  readonly rootCluster: number;
  readonly freeClusters: number;
}

/**
 * The reserved area up to the backup: boot sector and FSInfo at sectors 0 and 1, again at 6 and 7 (Microsoft
 * FAT specification, sections 3.1, 3.3 and 5). 4096 bytes.
 */
export function bootSectors(volume: Volume): Buffer {
  const area = Buffer.alloc(8 * sectorBytes);
  for (const first of [0, backupSector]) {
    area.set(bootSector(volume), first * sectorBytes);
    area.set(fsInfoSector(volume), (first + 1) * sectorBytes);
  }
  return area;
}

const backupSector = 6;

function bootSector({ geometry, label, volumeId, hiddenSectors, rootCluster }: Volume): Buffer {
  const sector = Buffer.alloc(sectorBytes);
  sector.set([0xeb, 0x58, 0x90], 0); // jump over the parameters: some firmware looks for it
  sector.write("MESOFORG", 3, "latin1");
  sector.writeUInt16LE(sectorBytes, 11);
  sector.writeUInt8(sectorsPerCluster, 13);
  sector.writeUInt16LE(geometry.reservedSectors, 14);
  sector.writeUInt8(2, 16); // tables
  sector.writeUInt8(fixedMedia, 21);
  sector.writeUInt16LE(63, 24); // sectors per track, and heads: the usual pretence
  sector.writeUInt16LE(255, 26);
  sector.writeUInt32LE(hiddenSectors, 28);
  sector.writeUInt32LE(geometry.totalSectors, 32);
  sector.writeUInt32LE(geometry.sectorsPerTable, 36);
  sector.writeUInt32LE(rootCluster, 44);
  sector.writeUInt16LE(1, 48); // FSInfo
  sector.writeUInt16LE(backupSector, 50);
  sector.writeUInt8(0x80, 64); // drive number
  sector.writeUInt8(0x29, 66); // the next three fields are present
  sector.writeUInt32LE(volumeId, 67);
  sector.set(label, 71);
  sector.write("FAT32   ", 82, "latin1");
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

export const fixedMedia = 0xf8;

function fsInfoSector({ freeClusters }: Volume): Buffer {
  const sector = Buffer.alloc(sectorBytes);
  sector.writeUInt32LE(0x41615252, 0);
  sector.writeUInt32LE(0x61417272, 484);
  sector.writeUInt32LE(freeClusters, 488);
  sector.writeUInt32LE(firstCluster, 492);
  sector.writeUInt32LE(0xaa550000, 508);
  return sector;
}

/**
 * A volume label as FAT stores it.
 *
 * @throws MesoError `bad-label` for what does not fit 11 upper-case characters.
 */
export function fatLabel(label: string): Buffer {
  if (!/^[A-Z0-9!#$%&'()\-@^_`{}~][A-Z0-9 !#$%&'()\-@^_`{}~]{0,10}$/.test(label)) {
    throw failure("bad-label", `${JSON.stringify(label)} is no label of a FAT file system`, {
      expected: "1 to 11 upper-case letters, digits, spaces, dashes or underscores",
    });
  }
  return Buffer.from(label.padEnd(11));
}
